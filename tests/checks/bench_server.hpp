#pragma once
// A real loop, the real HTTP client and tests/support/model_server.py on loopback, for running checks end to end.

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "checks/check.hpp"

namespace modelguard::checks::test {

/// tests/support/model_server.py as a child; it ends with this object (its stdin closes).
class ModelServer {
  public:
    explicit ModelServer(const std::string& dialect);
    ~ModelServer();
    ModelServer(const ModelServer&) = delete;
    ModelServer& operator=(const ModelServer&) = delete;
    int port() const { return port_; }

  private:
    int pid_{-1};
    int stdin_{-1};
    int port_{0};
};

const Protocol& oip_protocol();
/// A loopback port at which nobody listens.
int unused_port();

/// A loop, the HTTP client and a version's tree; no server.
class CheckBench : public testing::Test {
  protected:
    void SetUp() override;
    void TearDown() override;

    void write_file(const std::string& path, const std::string& content);
    /// Runs one pass to its end, at most 30 s.
    CheckOutcome run(const Check& check);
    /// Turns the loop until `done`, at most 30 s.
    void turn_until(const std::function<bool()>& done);

    std::unique_ptr<sys::Loop> loop_;
    std::unique_ptr<sys::HttpClient> http_;
    std::filesystem::path version_dir_;
    std::optional<CheckContext> context_;
};

/// One server for all tests of a suite; each begins with mode ok and counts of zero.
class CheckTest : public CheckBench {
  protected:
    static void SetUpTestSuite();
    static void TearDownTestSuite();
    void SetUp() override;

    /// Puts the server into a mode: the JSON of POST /control.
    void control(const std::string& json);
    /// A count of the server: `infer`, `connections`, `ids`, `in_flight_max`, …
    long counted(const std::string& name);
    /// One-hot inputs of 64 numbers; item i has label i % 10. Written to canary/digits.jsonl.
    void write_canary(int items);
    /// Makes a check, or fails the test.
    std::unique_ptr<Check> make(std::string_view kind, ParamMap params);
    using CheckBench::run;
    CheckOutcome run(std::string_view kind, ParamMap params) { return run(*make(kind, std::move(params))); }

  private:
    std::string ask_control(const std::string& method, const std::string& body);
    static std::unique_ptr<ModelServer> server_;
};

ParamValue text(std::string value);
ParamValue number(double value);
ParamValue integer(std::int64_t value);
ParamValue duration(Usec value);

}  // namespace modelguard::checks::test
