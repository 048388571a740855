// What serving costs the daemon: CPU of this process per kept-alive GET of a 2 kB document, per GET on a fresh
// connection, and per MiB of a streamed upload. The client is a child process, so that its time is not counted.
//   http_server_cost [REQUESTS]

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "supervisor/daemon/http_server.hpp"

namespace {

using namespace modelguard;

constexpr std::size_t kUploadMib = 1024;

double cpu_usec() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto usec = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec);
    };
    return usec(usage.ru_utime) + usec(usage.ru_stime);
}

int connected(const std::string& path) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) std::_Exit(1);
    return fd;
}

void send_whole(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t sent = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
        if (sent <= 0) std::_Exit(1);
        text.remove_prefix(static_cast<std::size_t>(sent));
    }
}

void read_reply(int fd, std::size_t body) {
    char buffer[8192];
    std::string reply;
    for (;;) {
        const ssize_t count = ::recv(fd, buffer, sizeof buffer, 0);
        if (count <= 0) std::_Exit(1);
        reply.append(buffer, static_cast<std::size_t>(count));
        const std::size_t end = reply.find("\r\n\r\n");
        if (end != std::string::npos && reply.size() >= end + 4 + body) return;
    }
}

class Sink : public daemon::Upload {
  public:
    void start(daemon::Responder responder) override { responder_ = std::move(responder); }
    std::size_t write(std::string_view bytes) override { return bytes.size(); }
    void finish() override { responder_.reply({.body = "ok"}); }
    void aborted() override {}

  private:
    daemon::Responder responder_;
};

/// Runs `client` in a child against the loop here; our CPU in microseconds meanwhile.
template <class Client>
double cost_of(sys::Loop& loop, Client client) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        client();
        std::_Exit(0);
    }
    const double before = cpu_usec();
    bool is_over = false;
    int result = 0;
    const sys::Source watch = loop.add_child(pid, [&](int status) {
        is_over = true;
        result = status;
    });
    while (!is_over)
        if (!loop.run_once(std::chrono::seconds(1))) std::exit(1);
    if (result != 0) {
        std::fprintf(stderr, "the client failed: wait status %d\n", result);
        std::exit(1);
    }
    return cpu_usec() - before;
}

}  // namespace

int main(int argc, char** argv) {
    const int requests = argc > 1 ? std::atoi(argv[1]) : 50000;
    const std::string path = "/tmp/http_server_cost." + std::to_string(::getpid()) + ".sock";
    const std::string document(2048, 'd');
    auto loop = sys::Loop::create();
    auto server =
        daemon::HttpServer::create(**loop, {.path = path},
                                   {.handle = [&](const daemon::HttpServerRequest&,
                                                  daemon::Responder responder) { responder.reply({.body = document}); },
                                    .admit =
                                        [](const daemon::HttpServerRequest& request) {
                                            daemon::HttpAdmission admission;
                                            if (request.method == "POST") admission.upload = std::make_unique<Sink>();
                                            return admission;
                                        }});
    if (!server) {
        std::fprintf(stderr, "%s\n", server.error().what.c_str());
        return 1;
    }
    const std::string get = "GET /v1/status HTTP/1.1\r\nHost: modelguard\r\nAccept: application/json\r\n\r\n";

    const double kept = cost_of(**loop, [&] {
        const int fd = connected(path);
        for (int i = 0; i < requests; ++i) {
            send_whole(fd, get);
            read_reply(fd, document.size());
        }
    });
    std::printf("kept-alive GET of 2 kB: %.1f us CPU per request (%d requests)\n", kept / requests, requests);

    const double fresh = cost_of(**loop, [&] {
        for (int i = 0; i < requests; ++i) {
            const int fd = connected(path);
            send_whole(fd, get);
            read_reply(fd, document.size());
            ::close(fd);
        }
    });
    std::printf("GET of 2 kB on a fresh connection: %.1f us CPU per request\n", fresh / requests);

    const double upload = cost_of(**loop, [&] {
        const int fd = connected(path);
        send_whole(fd, "POST /v1/deploy HTTP/1.1\r\nHost: modelguard\r\nContent-Length: " +
                           std::to_string(kUploadMib << 20) + "\r\n\r\n");
        const std::string part(1u << 20, 'p');
        for (std::size_t i = 0; i < kUploadMib; ++i)
            send_whole(fd, part);
        read_reply(fd, 2);
    });
    std::printf("upload: %.1f us CPU per MiB (%zu MiB)\n", upload / static_cast<double>(kUploadMib), kUploadMib);
}
