#pragma once
// Server-sent events, as OpenAI-compatible servers stream their answers: the payloads of a whole body, in order.
// Source: the HTML Standard, 9.2 (text/event-stream), of which these servers use `data:` alone.

#include <optional>
#include <string_view>

#include "supervisor/sys/http.hpp"

namespace modelguard::checks {

struct StreamEvent {
    std::string_view payload;  ///< what follows `data:`, without blanks around it; borrows from the body
    std::size_t end{0};        ///< bytes of the body up to and with the end of its line
};

/// The events of a body one by one. A line that is cut off at the end of the body is no event.
class EventStream {
  public:
    explicit EventStream(std::string_view body) : body_(body) {}
    /// nullopt: there are no more.
    std::optional<StreamEvent> next();

  private:
    std::string_view body_;
    std::size_t at_{0};
};

/// When byte `end` of the body was there; the last arrival where that is not known.
Usec arrival_of(const sys::HttpReply& reply, std::size_t end);

}  // namespace modelguard::checks
