#include "supervisor/daemon/yaml_tree.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <exception>
#include <sstream>

#include "supervisor/base/text.hpp"
#include "supervisor/daemon/plain_text.hpp"

namespace modelguard::daemon {

namespace {
constexpr std::size_t kMostDepth = 20;         // the grammar needs six
constexpr std::size_t kMostNodes = 20'000;     // 200 checks of 20 parameters need 8,000
constexpr std::size_t kMostKeys = 1'000;       // of one map; looking for duplicates is quadratic
constexpr std::size_t kMostOpenBrackets = 64;  // yaml-cpp keeps 240 bytes of each bracket until the outermost is closed
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

/// Thrown from a handler to leave the parser early; the finding is already made.
struct Stop {};

int line_of(const YAML::Mark& mark) { return mark.is_null() ? 0 : mark.line + 1; }

class TreeBuilder final : public YAML::EventHandler {
  public:
    TreeBuilder(std::string_view text, FindingSink& sink) : text_(text), sink_(sink) {}

    std::optional<YamlNode> take() { return std::move(top_); }

    void OnDocumentStart(const YAML::Mark& mark) override {
        if (documents_++ > 0) stop(line_of(mark), "a second document begins here; expected one document in the file");
    }
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { add(make(YamlNode::Kind::null, mark)); }
    void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
        sink_.error(line_of(mark), path(), "an alias (*) stands here; aliases are not used, write the value out");
        add(make(YamlNode::Kind::null, mark));
    }
    void OnAnchor(const YAML::Mark& mark, const std::string& name) override {
        sink_.error(line_of(mark), path(),
                    "an anchor " + in_quotes("&" + name) + " stands here; anchors are not used, write the value out");
    }
    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, const std::string& value) override {
        refuse_tag(mark, tag);
        YamlNode node = make(YamlNode::Kind::scalar, mark);
        node.text = value;
        node.is_plain = tag == "?";
        if (!node.is_plain && !is_closed_quote(mark))
            stop(node.line, "the quotes are not closed on this line; expected text of one line");
        // Escapes in quotes can make what the file itself must not hold.
        auto bad = find_bad_text(value);
        if (!bad)
            if (const auto at = value.find_first_of("\n\t\r"); at != std::string::npos)
                bad = BadText{at, "a line break or tab"};
        if (bad) {
            sink_.error(node.line, path(), "the value holds " + bad->what + "; expected text of one line");
            node.text.clear();
        }
        add(std::move(node));
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                         YAML::EmitterStyle::value) override {
        refuse_tag(mark, tag);
        open(make(YamlNode::Kind::list, mark));
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                    YAML::EmitterStyle::value) override {
        refuse_tag(mark, tag);
        open(make(YamlNode::Kind::map, mark));
    }
    void OnMapEnd() override { close(); }

  private:
    struct Open {
        YamlNode node;
        std::optional<YamlEntry> entry;  // its key was read, its value is awaited
    };

    [[noreturn]] void stop(int line, std::string text) {
        sink_.error(line, path(), std::move(text));
        throw Stop{};
    }

    YamlNode make(YamlNode::Kind kind, const YAML::Mark& mark) {
        if (++nodes_ > kMostNodes)
            stop(line_of(mark), "more than " + std::to_string(kMostNodes) + " values; expected far fewer");
        YamlNode node;
        node.kind = kind;
        node.line = line_of(mark);
        return node;
    }

    void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
        // yaml-cpp gives "?" to plain values and "!" to quoted ones, but also "!" where a bare "!" is written.
        const auto at = static_cast<std::size_t>(std::max(mark.pos, 0));
        const bool is_written = (tag != "?" && tag != "!" && !tag.empty()) || (at < text_.size() && text_[at] == '!');
        if (is_written) stop(line_of(mark), "a tag (!) stands here; tags are not used, the key decides the type");
    }

    // yaml-cpp takes a quote that is never closed as text to the end of the file.
    bool is_closed_quote(const YAML::Mark& mark) const {
        const auto begin = static_cast<std::size_t>(std::max(mark.pos, 0));
        if (begin >= text_.size() || (text_[begin] != '"' && text_[begin] != '\'')) return true;  // a block: | or >
        const char quote = text_[begin];
        for (std::size_t at = begin + 1; at < text_.size() && text_[at] != '\n'; ++at) {
            if (text_[at] == quote) return true;  // a doubled one ends here too and begins again: closed all the same
            if (text_[at] == '\\' && quote == '"') ++at;
        }
        return false;
    }

    bool awaits_key() const {
        return !open_.empty() && open_.back().node.kind == YamlNode::Kind::map && !open_.back().entry;
    }

    void open(YamlNode node) {
        if (awaits_key()) stop(node.line, "a list or map stands where a key belongs; expected a word");
        if (open_.size() >= kMostDepth)
            stop(node.line, "nested deeper than " + std::to_string(kMostDepth) + " levels; expected a flat file");
        open_.push_back({std::move(node), std::nullopt});
    }

    void close() {
        YamlNode node = std::move(open_.back().node);
        open_.pop_back();
        add(std::move(node));
    }

    void add(YamlNode node) {
        if (open_.empty()) {
            top_ = std::move(node);
            return;
        }
        Open& parent = open_.back();
        if (parent.node.kind == YamlNode::Kind::list) {
            parent.node.items.push_back(std::move(node));
        } else if (awaits_key()) {
            if (node.kind == YamlNode::Kind::null)
                stop(node.line, "nothing stands where a key belongs; expected a word");
            begin_entry(parent, std::move(node));
        } else {
            // yaml-cpp places a missing value where the next word stands.
            if (node.kind == YamlNode::Kind::null) node.line = parent.entry->line;
            parent.entry->value = std::move(node);
            parent.node.entries.push_back(std::move(*parent.entry));
            parent.entry.reset();
        }
    }

    void begin_entry(Open& parent, YamlNode key) {
        if (parent.node.entries.size() >= kMostKeys)
            stop(key.line, "more than " + std::to_string(kMostKeys) + " keys in one map; expected far fewer");
        const std::string key_path = join_key(path(), key.text);
        if (key.text == "<<" && key.is_plain)
            sink_.error(key.line, key_path, "a merge key stands here; merge keys are not used, write the values out");
        else if (const YamlEntry* first = parent.node.find(key.text))
            sink_.error(key.line, key_path,
                        "the key " + in_quotes(key.text) + " is written twice; the first is on line " +
                            std::to_string(first->line));
        parent.entry = YamlEntry{std::move(key.text), key.line, {}};
    }

    /// Where the parser is, as in "checks[1].min".
    std::string path() const {
        std::string text;
        for (const Open& open : open_) {
            if (open.node.kind == YamlNode::Kind::list)
                text += "[" + std::to_string(open.node.items.size()) + "]";
            else if (open.entry)
                text = join_key(text, open.entry->key);
        }
        return text;
    }

    std::string_view text_;
    FindingSink& sink_;
    std::vector<Open> open_;
    std::optional<YamlNode> top_;
    std::size_t nodes_{0};
    int documents_{0};
};

int line_at(std::string_view text, std::size_t offset) {
    return 1 + static_cast<int>(std::ranges::count(text.substr(0, offset), '\n'));
}

/// What yaml-cpp would let pass, or would take too much memory to refuse.
bool is_acceptable_text(std::string_view text, FindingSink& sink) {
    if (text.size() > kMostConfigBytes) {
        sink.error(0, "", "the file has " + std::to_string(text.size()) + " bytes; expected at most 1 MiB");
        return false;
    }
    if (const auto bad = find_bad_text(text)) {
        sink.error(line_at(text, bad->offset), "", bad->what + " stands here; expected plain UTF-8 text");
        return false;
    }
    std::size_t open = 0;
    bool in_indentation = true;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const char c = text[at];
        if (c == '\t' && in_indentation) {
            sink.error(line_at(text, at), "", "a tab in the indentation; expected spaces");
            return false;
        }
        in_indentation = c == '\n' || (in_indentation && c == ' ');
        if (c == '[' || c == '{') ++open;
        if ((c == ']' || c == '}') && open > 0) --open;
        if (open > kMostOpenBrackets) {
            sink.error(line_at(text, at), "",
                       "nested deeper than " + std::to_string(kMostDepth) + " levels; expected a flat file");
            return false;
        }
    }
    return true;
}

void parse_events(std::string_view text, TreeBuilder& builder, FindingSink& sink) {
    try {
        std::istringstream stream{std::string(text)};
        YAML::Parser parser(stream);
        while (parser.HandleNextDocument(builder)) {
        }
    } catch (const Stop&) {
        return;  // the builder has said why
    } catch (const YAML::Exception& exception) {
        // It quotes single bytes of the file: half of a character, or a line break after a backslash.
        sink.error(line_of(exception.mark), "", "not YAML: " + plain_line(exception.msg));
    } catch (const std::exception& exception) {
        sink.error(0, "", std::string("cannot be read as YAML: ") + exception.what());
    }
}
}  // namespace

const YamlEntry* YamlNode::find(std::string_view key) const {
    const auto it = std::ranges::find(entries, key, &YamlEntry::key);
    return it == entries.end() ? nullptr : &*it;
}

std::string describe_node(const YamlNode& node) {
    switch (node.kind) {
        case YamlNode::Kind::null: return "nothing";
        case YamlNode::Kind::scalar:
            return node.is_plain ? in_quotes(node.text) : "the quoted text " + in_quotes(node.text);
        case YamlNode::Kind::list: return "a list";
        case YamlNode::Kind::map: return "a map";
    }
    return "nothing";
}

std::optional<YamlNode> parse_yaml_tree(std::string_view text, WhenEmpty when_empty, FindingSink& sink) {
    if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    if (!is_acceptable_text(text, sink)) return std::nullopt;
    TreeBuilder builder(text, sink);
    parse_events(text, builder, sink);
    if (sink.has_error()) return std::nullopt;
    std::optional<YamlNode> top = builder.take();
    if (!top || top->kind == YamlNode::Kind::null) {
        if (when_empty == WhenEmpty::is_empty_map) return YamlNode{.kind = YamlNode::Kind::map, .line = 1};
        sink.error(1, "", "the file is empty; expected a map of keys");
        return std::nullopt;
    }
    if (top->kind != YamlNode::Kind::map) {
        sink.error(top->line, "", "found " + describe_node(*top) + "; expected a map of keys, as in `model: digits`");
        return std::nullopt;
    }
    return top;
}

namespace {
// Every text carries its length, so that no two trees give the same canonical text.
std::string with_length(std::string_view text) { return std::to_string(text.size()) + ":" + std::string(text); }

std::string canonical(const YamlNode& node, std::string_view left_out, std::string_view sort_by) {
    switch (node.kind) {
        case YamlNode::Kind::null: return "~";
        case YamlNode::Kind::scalar: return with_length(node.text);
        case YamlNode::Kind::list: {
            std::vector<const YamlNode*> items;
            items.reserve(node.items.size());
            for (const YamlNode& item : node.items)
                items.push_back(&item);
            const auto name_of = [&](const YamlNode* item) {
                const YamlEntry* entry = item->find(sort_by);
                return entry == nullptr ? std::string_view() : std::string_view(entry->value.text);
            };
            if (std::ranges::all_of(items, [&](const YamlNode* item) { return item->find(sort_by) != nullptr; }))
                std::ranges::sort(items, {}, name_of);  // names are unique in whatever is accepted
            std::string text = "[";
            for (const YamlNode* item : items)
                text += canonical(*item, {}, sort_by) + ",";
            return text + "]";
        }
        case YamlNode::Kind::map: {
            std::vector<const YamlEntry*> entries;
            for (const YamlEntry& entry : node.entries)
                if (left_out.empty() || entry.key != left_out) entries.push_back(&entry);
            std::ranges::sort(entries, {}, [](const YamlEntry* entry) -> std::string_view { return entry->key; });
            std::string text = "{";
            for (const YamlEntry* entry : entries)
                text += with_length(entry->key) + "=" + canonical(entry->value, {}, sort_by) + ",";
            return text + "}";
        }
    }
    return {};
}
}  // namespace

std::string canonical_text(const YamlNode& top, std::string_view left_out, std::string_view sort_by) {
    return canonical(top, left_out, sort_by);
}

}  // namespace modelguard::daemon
