#pragma once
// RAII for file descriptors and for C objects with one free function. Nothing else.

#include <unistd.h>

#include <memory>
#include <utility>

namespace modelguard::sys {

class Fd {
  public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) {
            reset();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd() { reset(); }

    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    int release() { return std::exchange(fd_, -1); }
    void reset() {
        if (fd_ >= 0) ::close(std::exchange(fd_, -1));
    }

  private:
    int fd_{-1};
};

template <auto free_fn>
struct FreeWith {
    template <class T>
    void operator()(T* object) const {
        free_fn(object);
    }
};
template <class T, auto free_fn>
using CPtr = std::unique_ptr<T, FreeWith<free_fn>>;

}  // namespace modelguard::sys
