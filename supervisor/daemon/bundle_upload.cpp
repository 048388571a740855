#include "supervisor/daemon/bundle_upload.hpp"

#include <unistd.h>

#include <cerrno>

#include "supervisor/api/values.hpp"

namespace modelguard::daemon {

BundleUpload::BundleUpload(sys::Loop& loop, store::VersionStore& versions, std::string model,
                           std::function<HttpServerReply(Result<store::VersionInfo>)> imported, int& running)
    : loop_(loop), versions_(versions), model_(std::move(model)), imported_(std::move(imported)), running_(running) {
    ++running_;
}

BundleUpload::~BundleUpload() { --running_; }

void BundleUpload::start(Responder responder) {
    responder_ = std::move(responder);
    auto begun = versions_.begin_import(model_, [this](Result<store::VersionInfo> info) {
        writable_.reset();
        if (responder_) responder_.reply(imported_(std::move(info)));
    });
    if (begun) {
        import_ = std::move(*begun);
        return;
    }
    responder_.reply(problem_reply(api::http_status(begun.error().kind), begun.error().kind, begun.error().what));
}

std::size_t BundleUpload::write(std::string_view bytes) {
    if (!import_ || import_->input_fd() < 0) return bytes.size();  // the import has ended; its answer is on the way
    const ssize_t taken = ::write(import_->input_fd(), bytes.data(), bytes.size());
    if (taken >= 0) return static_cast<std::size_t>(taken);
    if (errno != EAGAIN && errno != EINTR) return bytes.size();  // EPIPE: the child has seen enough and will say why
    writable_ = loop_.add_io(import_->input_fd(), EPOLLOUT, [this](std::uint32_t) {
        writable_.reset();
        responder_.resume_upload();
    });
    return 0;
}

void BundleUpload::finish() {
    if (import_) import_->finish_input();
}

void BundleUpload::aborted() {
    writable_.reset();
    import_.reset();
}

}  // namespace modelguard::daemon
