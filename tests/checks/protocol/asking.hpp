#pragma once
// One protocol with its parameters, asked without a server: requests as they would be sent, answers as they came.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "checks/protocol/protocol.hpp"

namespace modelguard::checks::test {

inline Result<sys::HttpReply> reply(int status, std::string body) {
    return sys::HttpReply{.status = status, .body = std::move(body)};
}

struct Asking {
    Asking(std::string_view name, const ParamMap& written = {}) {
        const ProtocolKind* kind = find_protocol(name);
        ParamMap params = written;
        for (const ParamSpec& spec : kind->params)
            if (!spec.default_text.empty() && !params.contains(spec.name)) params.emplace(spec.name, default_of(spec));
        auto made = kind->make(params);
        if (made)
            protocol = std::move(*made);
        else
            refusal = made.error().what;
    }

    ReadyAnswer ready(int status, std::string body) const {
        return protocol->classify_ready(target, reply(status, std::move(body)));
    }
    InferAnswer answer(int status, std::string body) const {
        return protocol->read_infer(target, shape, reply(status, std::move(body)));
    }
    /// The body of the request for this input, as JSON.
    nlohmann::json body(const std::string& input) const {
        const auto request = protocol->infer_request(target, {.id = "a", .input = input}, shape, 7);
        EXPECT_TRUE(request) << request.error().what;
        return request ? nlohmann::json::parse(request->body, nullptr, false) : nlohmann::json();
    }

    static ParamValue default_of(const ParamSpec& spec) {
        switch (spec.type) {
            case ParamType::boolean: return {.value = spec.default_text == "true"};
            case ParamType::integer:
                return {.value = static_cast<std::int64_t>(std::stoll(std::string(spec.default_text)))};
            case ParamType::number:
            case ParamType::text:
            case ParamType::duration:
            case ParamType::text_list:
            case ParamType::object: break;
        }
        return {.value = std::string(spec.default_text)};
    }

    Target target{.endpoint = "http://127.0.0.1:8080", .server_model = "digits"};
    InferShape shape;
    std::shared_ptr<const Protocol> protocol;
    std::string refusal;
};

}  // namespace modelguard::checks::test
