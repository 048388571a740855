// HTTP responses as the CLI reads them from a socket: the same response however the bytes are cut, and none that is
// larger than asked for.

#include "supervisor/api/reply_parser.hpp"

#include "tests/fuzz/fuzz.hpp"

namespace modelguard {
namespace {

constexpr std::size_t kMaxBody = 2000;

struct Read {
    bool is_good{false};
    api::Response response;
};

Read read(std::string_view bytes, std::size_t piece) {
    api::ReplyParser parser(kMaxBody);
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
        const auto done = parser.feed(bytes.substr(at, piece));
        if (!done) {
            MG_ASSERT(done.error().kind == ErrorKind::malformed_reply);
            return {};
        }
        MG_ASSERT(*done == parser.is_done());
        if (*done) return {true, parser.take()};
    }
    const auto finished = parser.finish();
    if (!finished) return {};
    return {true, parser.take()};
}

}  // namespace
}  // namespace modelguard

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace modelguard;
    fuzz::Input input(data, size);
    const std::size_t piece = 1 + input.take_byte() % 32;
    const Read whole = read(input.rest(), std::string_view::npos / 2);
    const Read cut = read(input.rest(), piece);
    MG_ASSERT(whole.is_good == cut.is_good);
    MG_ASSERT(whole.response.body.size() <= kMaxBody);
    if (!whole.is_good) return 0;
    MG_ASSERT(whole.response.status >= 100 && whole.response.status <= 999);
    MG_ASSERT(whole.response.status == cut.response.status && whole.response.body == cut.response.body);
    MG_ASSERT(whole.response.content_type == cut.response.content_type);
    return 0;
}
