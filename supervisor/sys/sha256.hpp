#pragma once
// SHA-256 over OpenSSL's EVP.

#include <memory>
#include <string>
#include <string_view>

#include "supervisor/base/result.hpp"

namespace modelguard::sys {

class Sha256 {
  public:
    Sha256();
    ~Sha256();
    Sha256(Sha256&&) noexcept;
    void update(const void* bytes, std::size_t count);
    void update(std::string_view text) { update(text.data(), text.size()); }
    /// 64 lower-case hex digits; the object is spent.
    std::string finish_hex();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

std::string sha256_hex(std::string_view text);
/// Hash of what is left to read in `fd`. Blocks: children only.
Result<std::string> sha256_hex_of(int fd);

}  // namespace modelguard::sys
