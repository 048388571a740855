#include "supervisor/store/version_file.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <array>
#include <optional>
#include <set>
#include <sstream>

#include "supervisor/base/params.hpp"
#include "supervisor/base/text.hpp"
#include "supervisor/store/entry_names.hpp"
#include "supervisor/store/tree.hpp"

namespace modelguard::store {

namespace {

constexpr std::size_t kLongestText = 128;  // it stands in tables of 80 columns and in the journal
constexpr std::array<std::string_view, 2> kKeys{"label", "served_version"};

/// Thrown out of the event handler, caught in parse_version_file: yaml-cpp has no other way to stop.
struct Stop {
    int line;
    std::string why;
};

bool is_one_line(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint point = next_code_point(text.substr(at));
        if (!point.valid || is_control(point.value) || hidden_kind(point.value) != nullptr) return false;
        at += point.length;
    }
    return true;
}

/// The event interface, since only it shows anchors and tags, and builds no tree that a small text could blow up.
class VersionFileReader : public YAML::EventHandler {
  public:
    VersionFile file;

    void OnDocumentStart(const YAML::Mark& mark) override {
        if (++documents_ > 1) throw Stop{mark.line, "a second document"};
    }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        refuse_anchor(mark, anchor);
        if (depth_ == 0) return;  // an empty file
        if (!key_) throw Stop{mark.line, "a key is missing"};
        throw Stop{key_line_, "'" + *key_ + "' has no value; expected text"};
    }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { throw Stop{mark.line, "aliases are not taken"}; }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        refuse_anchor(mark, anchor);
        refuse_tag(mark, tag);
        if (depth_ == 0) throw Stop{mark.line, "expected 'label: …' and 'served_version: …'"};
        if (!key_) return take_key(mark, value);
        if (value.size() > kLongestText) throw Stop{mark.line, "'" + *key_ + "' is longer than 128 bytes"};
        if (!is_one_line(value)) throw Stop{mark.line, "'" + *key_ + "' is not one line of printable UTF-8"};
        (*key_ == "label" ? file.label : file.served_version) = value;
        key_.reset();
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                         YAML::EmitterStyle::value) override {
        throw Stop{mark.line, "a list where text is expected"};
    }
    void OnSequenceEnd() override {}
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        refuse_anchor(mark, anchor);
        refuse_tag(mark, tag);
        if (++depth_ > 1) throw Stop{mark.line, "a map where text is expected"};
    }
    void OnMapEnd() override { --depth_; }

  private:
    static void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
        if (anchor != 0) throw Stop{mark.line, "anchors are not taken"};
    }
    static void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
        if (!tag.empty() && tag != "?" && tag != "!")
            throw Stop{mark.line, "tags are not taken"};  // "!": quoted, "?": plain
    }
    void take_key(const YAML::Mark& mark, const std::string& key) {
        if (std::ranges::find(kKeys, key) == kKeys.end()) {
            const auto nearest = nearest_word(key, kKeys);
            throw Stop{mark.line, "unknown key '" + printable_name(key) + "'; expected label or served_version" +
                                      (nearest ? " (did you mean " + *nearest + "?)" : "")};
        }
        if (!seen_.insert(key).second) throw Stop{mark.line, "'" + key + "' is there twice"};
        key_ = key;
        key_line_ = mark.line;
    }

    int documents_{0};
    int depth_{0};
    std::optional<std::string> key_;
    int key_line_{0};  // where a value is missing, the parser is a line further
    std::set<std::string> seen_;
};

}  // namespace

Result<VersionFile> parse_version_file(std::string_view text) {
    const auto wrong = [](int line, const std::string& why) {
        return fail(ErrorKind::invalid_config,
                    std::string(kVersionFileName) + ":" + std::to_string(line + 1) + ": " + why);
    };
    if (text.size() > kMaxVersionFileBytes) return wrong(0, "larger than 64 KiB");
    VersionFileReader reader;
    try {
        std::istringstream stream{std::string(text)};
        YAML::Parser parser(stream);
        while (parser.HandleNextDocument(reader)) {
        }
    } catch (const Stop& stop) {
        return wrong(stop.line, stop.why);
    } catch (const YAML::Exception& error) {
        return wrong(std::max(error.mark.line, 0), printable_name(error.msg));
    }
    return std::move(reader.file);
}

}  // namespace modelguard::store
