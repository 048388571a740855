#include "tests/model/canonical.hpp"

#include <algorithm>
#include <bit>

namespace modelguard::model {

namespace {

using namespace core;

/// Writes values; every struct is taken apart by a structured binding, so that a new field breaks the build here and
/// not the merging.
class Writer {
  public:
    std::string bytes;

    void put(bool v) { bytes.push_back(v ? 1 : 0); }
    void put(int v) { number(static_cast<std::uint64_t>(v)); }
    void put(unsigned v) { number(v); }
    void put(std::int64_t v) { number(static_cast<std::uint64_t>(v)); }
    void put(std::uint64_t v) { number(v); }
    void put(Usec v) { number(static_cast<std::uint64_t>(v.count())); }
    void put(double v) { number(std::bit_cast<std::uint64_t>(v)); }
    void put(const std::string& v) {
        number(v.size());
        bytes += v;
    }
    void put(const Digest& v) { put(v.text); }
    template <class E>
        requires std::is_enum_v<E>
    void put(E v) {
        bytes.push_back(static_cast<char>(v));
    }
    template <class T>
    void put(const std::optional<T>& v) {
        put(v.has_value());
        if (v) put(*v);
    }
    template <class T>
    void put(const std::vector<T>& v) {
        number(v.size());
        for (const T& each : v)
            put(each);
    }
    template <class K, class V, class C>
    void put(const std::map<K, V, C>& v) {
        number(v.size());
        for (const auto& [key, value] : v) {
            put(key);
            put(value);
        }
    }

    /// Equal ids are written alike, whatever their numbers.
    void id(std::uint64_t v) {
        if (v == 0) return number(0);
        const auto found = std::ranges::find(ids_, v);
        number(static_cast<std::uint64_t>(found - ids_.begin()) + 1);
        if (found == ids_.end()) ids_.push_back(v);
    }
    /// Wishes are ordered by their numbers: the order is kept, the numbers are not.
    void seq(std::uint64_t v) {
        number(v == 0 ? 0 : static_cast<std::uint64_t>(std::ranges::lower_bound(seqs_, v) - seqs_.begin()) + 1);
    }
    void collect_seqs(const State& state) {
        for (const auto& [name, model] : state.models) {
            if (model.wish) seqs_.push_back(model.wish->seq);
            if (model.trial) seqs_.push_back(model.trial->seq);
            if (!model.revert) continue;
            seqs_.push_back(model.revert->seq);
            seqs_.insert(seqs_.end(), model.revert->joined.begin(), model.revert->joined.end());
        }
        if (state.os.pending) seqs_.push_back(state.os.pending->seq);
        std::ranges::sort(seqs_);
        seqs_.erase(std::ranges::unique(seqs_).begin(), seqs_.end());
        std::erase(seqs_, 0U);
    }

    void put(const CheckReport& v) {
        const auto& [check, kind, required, verdict, code, text, measured, limit, baseline, unit, probes, took] = v;
        all(check, kind, required, verdict, code, text, measured, limit, baseline, unit, probes, took);
    }
    void put(const ManifestFacts& v) {
        const auto& [rev, required, preflight, deadline, soak, on_inconclusive] = v;
        all(rev, required, preflight, deadline, soak, on_inconclusive);
    }
    void put(const KnownGood& v) {
        const auto& [version, manifest, os, fails_where_it_passed] = v;
        all(version, manifest, os, fails_where_it_passed);
    }
    void put(const Rejection& v) {
        const auto& [version, manifest_rev, code] = v;
        all(version, manifest_rev, code);
    }
    void put(const Wish& v) {
        const auto& [version, number, origin] = v;
        all(version, origin);
        seq(number);
    }
    void put(const Trial& v) {
        const auto& [number, kind, version, manifest, wish, from, has_baseline, baseline_passed, soaked, boots, abort,
                     reports] = v;
        id(number);
        seq(wish);
        all(kind, version, manifest, from, has_baseline, baseline_passed, soaked, boots, abort, reports);
    }
    void put(const Revert& v) {
        const auto& [cause, target, manifest, left, wish, joined, code, reports] = v;
        seq(wish);
        number(joined.size());
        for (const std::uint64_t each : joined)
            seq(each);
        all(cause, target, manifest, left, code, reports);
    }
    void put(const Work& v) {
        const auto& [kind, number] = v;
        put(kind);
        id(kind == WorkKind::none ? 0 : number);
    }
    void put(const Used& v) {
        const auto& [reprobes, restarts, waits, switches] = v;
        all(reprobes, restarts, waits, switches);
    }
    void sorted(std::vector<Timer> timers) {
        std::ranges::sort(timers);
        put(timers);
    }
    void put(const ModelState& v) {
        const auto& [phase, managed, manifest, next_manifest, offered_rev, current, wish, trial, revert, known_good,
                     rejected, pinned, current_by_rollback, passed_here, waits_for_os, used, work, timers, code, why] =
            v;
        all(phase, managed, manifest, next_manifest, offered_rev, current, wish, trial, revert, known_good, rejected,
            pinned, current_by_rollback, passed_here, waits_for_os, used, work);
        sorted(timers);
        put(code);
        static_cast<void>(why);
    }
    void put(const Deployment& v) {
        const auto& [name, identity, bootable, os_pinned, newness] = v;
        all(name, identity, bootable, os_pinned, newness);
    }
    void put(const OsView& v) {
        const auto& [deployments, booted, default_, staged, fell_back, boot_trial] = v;
        all(deployments, booted, default_, staged, fell_back, boot_trial);
    }
    void put(const OsPending& v) {
        const auto& [target, target_identity, from_identity, asked_by, number, step, attempts] = v;
        all(target, target_identity, from_identity, asked_by, step, attempts);
        seq(number);
    }
    void put(const OsState& v) {
        const auto& [view, boot_id, boot_complete, confirmed, rejected, rolled_back_from, rollbacks, pending, verb,
                     number, timers] = v;
        all(view, boot_complete, confirmed, rejected, rolled_back_from, rollbacks, pending, verb);
        id(verb ? number : 0);
        sorted(timers);
        static_cast<void>(boot_id);  // always this boot's: the world's name for it is a number that only grows
    }
    void put(const State& v) {
        const auto& [models, os, next_id] = v;
        all(models, os);
        static_cast<void>(next_id);  // grows; only equality of ids decides
    }

    void put(const Action& v) {
        number(v.index());
        std::visit([this](const auto& each) { put(each); }, v);
    }
    void put(const Verify& v) {
        id(v.work_id);
        all(v.model, v.version, v.depth);
    }
    void put(const Judge& v) {
        id(v.work_id);
        id(v.trial_id);
        all(v.model, v.subject, v.where, v.purpose, v.version, v.manifest_rev, v.use_baseline);
    }
    void put(const Watch& v) {
        id(v.work_id);
        all(v.model, v.subject, v.version, v.manifest_rev);
    }
    void put(const StopProbing& v) { put(v.model); }
    void put(const StartPreflight& v) {
        id(v.work_id);
        all(v.model, v.version, v.manifest_rev);
    }
    void put(const StopPreflight& v) { put(v.model); }
    void put(const Switch& v) {
        id(v.work_id);
        all(v.model, v.from, v.to, v.manifest_rev, v.way_back);
    }
    void put(const RestartService& v) {
        id(v.work_id);
        all(v.model, v.manifest_rev);
    }
    void put(const MarkKnownGood& v) { all(v.model, v.version); }
    void put(const ForgetModel& v) { put(v.model); }
    void put(const StartTimer& v) { all(v.model, v.timer, v.duration); }
    void put(const StopTimer& v) { all(v.model, v.timer); }
    void put(const DropStaged& v) {
        id(v.work_id);
        put(v.deployment);
    }
    void put(const OrderOs& v) {
        id(v.work_id);
        put(v.target);
    }
    void put(const ConfirmOsDefault& v) {
        id(v.work_id);
        put(v.target);
    }
    void put(const Reboot& v) {
        id(v.work_id);
        put(v.target);
    }

    void put(const Outside& v) {
        const auto& [link, known_good_link, in_flight, ledger_work, preflight, corrupt, known_corrupt, ever_failed,
                     failed_here, good, passed_now] = v;
        all(link, known_good_link, in_flight, ledger_work, preflight, corrupt, known_corrupt, ever_failed, failed_here,
            good, passed_now);
    }
    void put(const Budget& v) {
        const auto& [wants, rollbacks, admin, updates, reboots, fallbacks, corruptions, scrubs] = v;
        all(wants, rollbacks, admin, updates, reboots, fallbacks, corruptions, scrubs);
    }
    void put(const World& v) {
        const auto& [models, os, boot_id, boot_complete, boots, stagings, os_in_flight, going_down, next_seq, budget] =
            v;
        all(models, os, boot_complete, stagings, os_in_flight, going_down);
        static_cast<void>(boot_id), static_cast<void>(boots), static_cast<void>(next_seq), static_cast<void>(budget);
    }

  private:
    template <class... Ts>
    void all(const Ts&... values) {
        (put(values), ...);
    }
    void number(std::uint64_t v) {
        while (v >= 0x80) {
            bytes.push_back(static_cast<char>(v | 0x80));
            v >>= 7;
        }
        bytes.push_back(static_cast<char>(v));
    }

    std::vector<std::uint64_t> ids_;
    std::vector<std::uint64_t> seqs_;
};

}  // namespace

std::string canonical(const Node& node, bool budgets) {
    Writer writer;
    writer.bytes.reserve(1024);
    writer.collect_seqs(node.state);
    writer.put(node.state);
    writer.put(node.world);
    if (budgets) writer.put(node.world.budget);
    return std::move(writer.bytes);
}

std::string canonical(const core::State& state) {
    Writer writer;
    writer.collect_seqs(state);
    writer.put(state);
    return std::move(writer.bytes);
}

Hash hash_of(const std::string& bytes) {
    // Two independent multiply-and-fold lanes (the folding of 64×64→128-bit products is wyhash's idea).
    const auto fold = [](std::uint64_t a, std::uint64_t b) {
        __extension__ using Wide = unsigned __int128;
        const Wide product = static_cast<Wide>(a) * b;
        return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
    };
    Hash hash{0x9e3779b97f4a7c15U ^ bytes.size(), 0xc2b2ae3d27d4eb4fU + bytes.size()};
    for (std::size_t at = 0; at < bytes.size(); at += 8) {
        std::uint64_t word = 0;
        bytes.copy(reinterpret_cast<char*>(&word), std::min<std::size_t>(8, bytes.size() - at), at);
        hash.low = fold(hash.low ^ word, 0xa0761d6478bd642fU) + at;
        hash.high = fold(hash.high + word, 0xe7037ed1a0b428dbU) ^ (hash.high << 23 | hash.high >> 41);
    }
    return {fold(hash.low, 0x8ebc6af09c88c6e3U) ^ hash.high, fold(hash.high, 0x589965cc75374cc3U) + hash.low};
}

}  // namespace modelguard::model
