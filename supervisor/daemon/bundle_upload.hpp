#pragma once
// A bundle on its way from the socket to the import child, with back-pressure. A connection that breaks leaves nothing.

#include <functional>
#include <memory>
#include <string>

#include "supervisor/daemon/http_server.hpp"
#include "supervisor/store/versions.hpp"

namespace modelguard::daemon {

class BundleUpload final : public Upload {
  public:
    /// `imported` turns the end of the import into the reply; `running` counts uploads under way.
    BundleUpload(sys::Loop& loop, store::VersionStore& versions, std::string model,
                 std::function<HttpServerReply(Result<store::VersionInfo>)> imported, int& running);
    ~BundleUpload() override;

    void start(Responder responder) override;
    std::size_t write(std::string_view bytes) override;
    void finish() override;
    void aborted() override;

  private:
    sys::Loop& loop_;
    store::VersionStore& versions_;
    std::string model_;
    std::function<HttpServerReply(Result<store::VersionInfo>)> imported_;
    int& running_;
    Responder responder_;
    std::unique_ptr<store::Import> import_;
    sys::Source writable_;
};

}  // namespace modelguard::daemon
