#pragma once
// A tiny HTTP server on a unix socket that answers by script, and remembers what it was asked. It runs on its own
// thread and serves one connection at a time. Not a mock of the daemon: the daemon's own tests run the daemon.

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace modelguard::test {

struct Asked {
    std::string method, path;
    std::map<std::string, std::string> query, headers;  // header names in lower case
    std::string body;
    bool complete{false};  // the request came whole
};

struct Reply {
    int status{200};  // 0: hang up without an answer
    std::string body;
    std::string content_type{"application/json"};
};

class ScriptedServer {
  public:
    using Script = std::function<Reply(const Asked&)>;
    using RawScript = std::function<void(int fd)>;  // does its own reading and writing

    ScriptedServer(const std::string& socket_path, Script script);
    ScriptedServer(const std::string& socket_path, RawScript script);
    ~ScriptedServer();
    ScriptedServer(const ScriptedServer&) = delete;
    ScriptedServer& operator=(const ScriptedServer&) = delete;

    std::vector<Asked> asked() const;
    /// Those asked of `path` only.
    std::vector<Asked> asked(std::string_view path) const;

  private:
    void start(const std::string& socket_path);
    void serve();

    RawScript script_;
    int listener_{-1}, stop_{-1};
    std::atomic<int> connection_{-1};
    mutable std::mutex mutex_;
    std::vector<Asked> asked_;
    std::thread thread_;
};

/// Reads one request; `complete` is false where the peer went away in the middle.
Asked read_request(int fd);
void send_text(int fd, std::string_view text);
std::string reply_text(const Reply& reply);
/// Blocks until the peer closes (or the server is destroyed).
void wait_for_close(int fd);

/// A directory that is removed at the end.
class TempDir {
  public:
    TempDir();
    ~TempDir();
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    const std::string& path() const { return path_; }
    std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }

  private:
    std::string path_;
};
void write_text(const std::string& path, std::string_view text);

}  // namespace modelguard::test
