#include "tests/model/explorer.hpp"

#include <algorithm>
#include <deque>
#include <unordered_map>

#include "tests/model/canonical.hpp"
#include "tests/model/invariants.hpp"
#include "tests/model/print.hpp"

namespace modelguard::model {

using namespace core;

namespace {

constexpr std::uint32_t kNone = 0xffffffff;
/// Which move of a node an edge is: its place in moves(), and the action before which the daemon dies, counted from 1.
struct MoveCode {
    std::uint16_t move{0};
    std::uint16_t dies_before{0};
};

/// Three worlds without surprises: what is judged passes, fails, or gives no answer.
enum Mood : unsigned { kGood, kFailing, kSilent, kMoods };
constexpr const char* kMoodWords[] = {"everything passes", "everything fails", "nothing answers"};

struct Seen {
    std::uint32_t parent{kNone};
    MoveCode code;
    std::uint8_t busy{0};  ///< bit per model that is not at rest; kDevice: an OS rollback is pending
    std::uint32_t next[kMoods]{kNone, kNone, kNone};
};
constexpr std::uint8_t kDevice = 0x80;

/// An edge along which core moves by itself: an answer or a timer of one model, or of the device.
struct Automatic {
    std::uint32_t from;
    std::uint32_t to;
    std::uint8_t whose;
};

struct HashOf {
    std::size_t operator()(const Hash& hash) const { return hash.low; }
};

class Explorer {
  public:
    Explorer(const Bounds& bounds, const Options& options) : bounds_(bounds), options_(options) {}

    Report run() {
        Node root = first_node(bounds_);
        if (!prepare(root)) return std::move(report_);
        root.world.budget = bounds_.budget;
        add(root, kNone, {});
        root_ = std::move(root);
        while (!frontier_.empty() && !enough()) {
            const auto [id, node] = std::move(frontier_.front());
            frontier_.pop_front();
            expand(id, node);
        }
        report_.states = seen_.size();
        report_.complete = frontier_.empty();
        if (options_.graph && report_.complete && !enough()) {
            check_rest();
            check_circles();
        }
        return std::move(report_);
    }

  private:
    bool enough() const {
        if (options_.first_only && !report_.broken.empty()) return true;
        return options_.max_states != 0 && seen_.size() >= options_.max_states;
    }

    std::uint8_t busy_of(const Node& node) const {
        std::uint8_t busy = node.state.os.pending ? kDevice : 0;
        for (std::size_t i = 0; i < bounds_.models.size(); ++i) {
            const auto model = node.state.models.find(bounds_.models[i]);
            if (model != node.state.models.end() && !is_at_rest(model->second.phase))
                busy |= static_cast<std::uint8_t>(1U << i);
        }
        return busy;
    }

    std::uint8_t bit_of_model(const std::string& name) const {
        if (name.empty()) return kDevice;
        return static_cast<std::uint8_t>(
            1U << static_cast<unsigned>(std::ranges::find(bounds_.models, name) - bounds_.models.begin()));
    }

    // ---- one edge

    Node perform(const Node& node, const Move& move, Step& answer) {
        ++report_.steps;
        return model::perform(node, move, bounds_, answer);
    }

    /// The node in which the daemon died before the action at `count`, and the move that starts it again.
    Node cut_short(const Node& node, const Move& move, const Step& answer, std::size_t count, Move& restart) {
        Node stopped{answer.state, move.world};
        observe(stopped.world, node.state, move.event, bounds_);
        learn(stopped.world, node.state, answer.state);
        commit(stopped.world, node.state, answer);
        begin_actions(stopped.world, answer, count);
        restart = crash_between(stopped.world);
        return stopped;
    }

    void check(std::uint32_t from, MoveCode code, const Node& node, const Move& move, const Step& answer,
               const Node& next) {
        const Edge edge{node, move, answer, next, bounds_};
        for (const Invariant& invariant : invariants())
            if (std::string why = invariant.broken(edge); !why.empty()) report(invariant.name, why, from, &code);
    }

    std::uint32_t add(const Node& node, std::uint32_t parent, MoveCode code) {
        const auto [at, is_new] = ids_.try_emplace(hash_of(canonical(node)), static_cast<std::uint32_t>(seen_.size()));
        if (!is_new) return at->second;
        seen_.push_back(Seen{parent, code, busy_of(node), {}});
        for (std::uint32_t& next : seen_.back().next)
            next = kNone;
        frontier_.emplace_back(at->second, node);
        if (at->second % options_.stale_every == 0)
            if (std::string why = stale_answer_obeyed(node, bounds_); !why.empty())
                report("stale_answer_obeyed", why, at->second, nullptr);
        return at->second;
    }

    void expand(std::uint32_t id, const Node& node) {
        const std::vector<Move> all = moves(node, bounds_);
        std::size_t chosen[kMoods];
        for (unsigned mood = 0; mood < kMoods; ++mood)
            chosen[mood] = choose(node, all, static_cast<Mood>(mood));
        for (std::size_t i = 0; i < all.size(); ++i) {
            const Move& move = all[i];
            MoveCode code{static_cast<std::uint16_t>(i), 0};
            Step answer;
            Node room;
            const Node& base = base_of(node, move, room);
            const Node next = perform(base, move, answer);
            check(id, code, base, move, answer, next);
            if (options_.first_only && !report_.broken.empty()) return;
            const std::uint32_t to = add(next, id, code);
            ++report_.edges;
            for (unsigned mood = 0; mood < kMoods; ++mood)
                if (chosen[mood] == i) seen_[id].next[mood] = to;
            if (is_automatic(node, move)) automatic_.push_back({id, to, bit_of_model(move.model)});
            for (std::size_t at = 0; at < answer.actions.size(); ++at) {
                if (!is_carried_out_at_once(answer.actions[at])) continue;
                code.dies_before = static_cast<std::uint16_t>(at + 1);
                Move restart;
                const Node stopped = cut_short(base, move, answer, at, restart);
                Step resumed;
                Node room_again;
                const Node& known = base_of(stopped, restart, room_again);
                const Node after = perform(known, restart, resumed);
                check(id, code, known, restart, resumed, after);
                add(after, id, code);
                ++report_.edges;
            }
        }
    }

    /// Core goes on by itself along this edge. News from a watch come from outside; so does a disk or a helper that
    /// goes on refusing, which core is to ask again for as long as it takes (the way back, a prepared reboot).
    bool is_automatic(const Node& node, const Move& move) const {
        if (move.kind == MoveKind::timer) return true;
        if (move.kind != MoveKind::outcome) return false;
        if (const auto* e = std::get_if<SwitchDone>(&move.event))
            return e->link_moved || node.state.models.at(e->model).phase != Phase::reverting;
        if (const auto* e = std::get_if<OsActionDone>(&move.event)) return e->verb != OsVerb::reboot;
        return true;
    }

    /// What happens next in a world of that mood, or all.size(): nothing that core would need.
    std::size_t choose(const Node& node, const std::vector<Move>& all, Mood mood) const {
        const std::uint8_t busy = busy_of(node);
        if (busy == 0) return all.size();
        const auto wanted = mood == kGood      ? VerdictKind::pass
                            : mood == kFailing ? VerdictKind::fail
                                               : VerdictKind::inconclusive;
        std::size_t best = all.size();
        int best_rank = 100;
        for (std::size_t i = 0; i < all.size(); ++i) {
            const Move& move = all[i];
            int rank = 100;
            if (const auto* verdict = std::get_if<core::Verdict>(&move.event)) {
                if (verdict->verdict == wanted && move.kind == MoveKind::outcome && (busy & bit_of_model(move.model)))
                    rank = 1;
            } else if (!move.cooperative) {
                continue;
            } else if (const auto* timer = std::get_if<TimerExpired>(&move.event)) {
                if (!(busy & bit_of_model(move.model))) continue;
                switch (timer->timer) {
                    case Timer::retry:
                    case Timer::os_retry: rank = 4; break;
                    case Timer::soak: rank = 5; break;
                    case Timer::deadline: rank = 6; break;
                    case Timer::calm:
                    case Timer::os_window: continue;  // rest must be reached without them
                }
            } else if (move.kind == MoveKind::outcome || move.kind == MoveKind::reboot) {
                if (busy & bit_of_model(move.model)) rank = 1;
            } else if (move.kind == MoveKind::os_news) {
                rank = std::holds_alternative<OsObserved>(move.event) ? 0 : 3;
            }
            if (rank < best_rank) {
                best_rank = rank;
                best = i;
            }
        }
        return best;
    }

    // ---- the beginning

    bool perform_checked(Node& node, const Move& move) {
        Step answer;
        Node next = perform(node, move, answer);
        check(kNone, {}, node, move, answer, next);
        prologue_ += line_of(move, answer, next);
        node = std::move(next);
        return report_.broken.empty();
    }

    bool run_to_rest(Node& node) {
        constexpr int kFarTooMany = 200;
        for (int i = 0; i < kFarTooMany && busy_of(node) != 0; ++i) {
            const std::vector<Move> all = moves(node, bounds_);
            const std::size_t i_next = choose(node, all, kGood);
            if (i_next == all.size() || !perform_checked(node, all[i_next])) return false;
        }
        return true;
    }

    bool prepare(Node& node) {
        node.world.budget = {};
        const auto happens = [&](Event event) {
            return perform_checked(node, Move{MoveKind::request, "", std::move(event), node.world, "", false});
        };
        Started first{.boot_id = node.world.boot_id, .boot_complete = false, .os = node.world.os, .links = {}};
        if (!happens(first)) return false;
        node.world.boot_complete = true;
        if (!happens(BootCompleted{})) return false;
        for (const std::string& name : bounds_.models)
            if (!happens(ManifestApplied{name, bounds_.manifests.front()})) return false;
        if (!bounds_.established) return true;
        for (std::size_t version = 0; version < std::min<std::size_t>(2, bounds_.versions.size()); ++version)
            for (const std::string& name : bounds_.models)
                if (!happens(VersionWanted{name, bounds_.versions[version], node.world.next_seq++, Origin::command}) ||
                    !run_to_rest(node))
                    return false;
        return true;
    }

    // ---- the whole graph

    void check_rest() {
        for (unsigned mood = 0; mood < kMoods; ++mood) {
            std::vector<std::uint32_t> far(seen_.size(), kNone);  // moves to rest
            std::vector<std::uint32_t> path;
            for (std::uint32_t start = 0; start < seen_.size(); ++start) {
                std::uint32_t at = start;
                path.clear();
                constexpr std::uint32_t kOnPath = kNone - 1;
                while (far[at] == kNone && seen_[at].busy != 0 && seen_[at].next[mood] != kNone) {
                    far[at] = kOnPath;
                    path.push_back(at);
                    at = seen_[at].next[mood];
                }
                std::uint32_t distance = 0;
                if (far[at] == kOnPath || (seen_[at].busy != 0 && far[at] == kNone)) {
                    report("rest_unreachable", std::string("in a world where ") + kMoodWords[mood], start, nullptr);
                    far[at] = 0;  // said once
                } else if (seen_[at].busy == 0) {
                    far[at] = 0;
                } else {
                    distance = far[at];
                }
                for (auto it = path.rbegin(); it != path.rend(); ++it)
                    far[*it] = ++distance;
            }
            if (mood == kGood) report_.longest_to_rest = *std::ranges::max_element(far);
        }
    }

    /// No circle of answers and timers while a model is not at rest: every budget is a bound, and none is refilled on
    /// the way.
    void check_circles() {
        std::vector<std::uint8_t> all{kDevice};
        for (std::size_t i = 0; i < bounds_.models.size(); ++i)
            all.push_back(static_cast<std::uint8_t>(1U << i));
        for (const std::uint8_t whose : all) {
            std::vector<std::uint32_t> begin(seen_.size() + 1, 0);
            const auto counts = [&](const Automatic& edge) {
                return edge.whose == whose && (seen_[edge.from].busy & whose) && (seen_[edge.to].busy & whose);
            };
            for (const Automatic& edge : automatic_)
                if (counts(edge)) ++begin[edge.from + 1];
            for (std::size_t i = 1; i < begin.size(); ++i)
                begin[i] += begin[i - 1];
            std::vector<std::uint32_t> targets(begin.back());
            std::vector<std::uint32_t> fill(begin.begin(), begin.end() - 1);
            for (const Automatic& edge : automatic_)
                if (counts(edge)) targets[fill[edge.from]++] = edge.to;
            std::vector<std::uint8_t> colour(seen_.size(), 0);  // 1: on the path, 2: done
            std::vector<std::pair<std::uint32_t, std::uint32_t>> path;
            for (std::uint32_t start = 0; start < seen_.size(); ++start) {
                if (colour[start] != 0) continue;
                path.assign(1, {start, begin[start]});
                colour[start] = 1;
                while (!path.empty()) {
                    auto& [at, next] = path.back();
                    if (next == begin[at + 1]) {
                        colour[at] = 2;
                        path.pop_back();
                        continue;
                    }
                    const std::uint32_t to = targets[next++];
                    if (colour[to] == 1)
                        return report("runs_in_circles",
                                      whose == kDevice ? "the device" : "a model that is not at rest", to, nullptr);
                    if (colour[to] == 2) continue;
                    colour[to] = 1;
                    path.emplace_back(to, begin[to]);
                }
            }
        }
    }

    // ---- counterexamples

    static std::string line_of(const Move& move, const Step& answer, const Node& next) {
        std::string line = "  * " + (move.note.empty() ? "" : "[" + move.note + "] ") + describe(move.event) + "\n";
        for (const Action& action : answer.actions)
            line += "      > " + describe(action) + "\n";
        for (const Decision& decision : answer.decisions)
            line += "      = " + describe(decision) + "\n";
        return line + describe(next);
    }

    void report(const std::string& name, const std::string& why, std::uint32_t at, const MoveCode* last) {
        if (std::ranges::find(report_.broken, name) != report_.broken.end()) return;
        report_.broken.push_back(name);
        std::vector<MoveCode> codes;
        if (last) codes.push_back(*last);
        for (std::uint32_t i = at; i != kNone && seen_[i].parent != kNone; i = seen_[i].parent)
            codes.push_back(seen_[i].code);
        std::ranges::reverse(codes);
        std::string text = "BROKEN " + name + " in '" + bounds_.name + "': " + why + "\n";
        text += prologue_ + "  -- from here on, freely\n";
        Node node = root_;
        if (at == kNone) codes.clear();
        for (const MoveCode& code : codes) {
            const Move move = moves(node, bounds_)[code.move];
            Step answer;
            Node room;
            Node next = perform(base_of(node, move, room), move, answer);
            if (code.dies_before != 0) {
                Move restart;
                const Node stopped = cut_short(base_of(node, move, room), move, answer, code.dies_before - 1U, restart);
                text += line_of(move, answer, stopped);
                Node room_again;
                next = perform(base_of(stopped, restart, room_again), restart, answer);
                text += line_of(restart, answer, next);
            } else {
                text += line_of(move, answer, next);
            }
            node = std::move(next);
        }
        report_.traces.push_back(text);
    }

    const Bounds& bounds_;
    const Options& options_;
    Report report_;
    Node root_;
    std::string prologue_;
    std::vector<Seen> seen_;
    std::vector<Automatic> automatic_;
    std::unordered_map<Hash, std::uint32_t, HashOf> ids_;
    std::deque<std::pair<std::uint32_t, Node>> frontier_;
};

}  // namespace

Report explore(const Bounds& bounds, const Options& options) { return Explorer(bounds, options).run(); }

}  // namespace modelguard::model
