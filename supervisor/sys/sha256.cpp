#include "supervisor/sys/sha256.hpp"

#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

#include "supervisor/sys/fd.hpp"

namespace modelguard::sys {

struct Sha256::Impl {
    CPtr<EVP_MD_CTX, EVP_MD_CTX_free> context{EVP_MD_CTX_new()};
};

// EVP fails here only for lack of memory or where a policy forbids SHA-256: there is no modelguard without it.
Sha256::Sha256() : impl_(std::make_unique<Impl>()) {
    MG_ASSERT(impl_->context && EVP_DigestInit_ex(impl_->context.get(), EVP_sha256(), nullptr) == 1);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;

void Sha256::update(const void* bytes, std::size_t count) {
    MG_ASSERT(impl_ && EVP_DigestUpdate(impl_->context.get(), bytes, count) == 1);
}

std::string Sha256::finish_hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned length = 0;
    MG_ASSERT(impl_ && EVP_DigestFinal_ex(impl_->context.get(), digest.data(), &length) == 1);
    impl_.reset();
    constexpr std::string_view kHex = "0123456789abcdef";
    std::string hex;
    hex.reserve(std::size_t{2} * length);
    for (unsigned i = 0; i < length; ++i) {
        hex += kHex[digest[i] >> 4];
        hex += kHex[digest[i] & 0xf];
    }
    return hex;
}

std::string sha256_hex(std::string_view text) {
    Sha256 hash;
    hash.update(text);
    return hash.finish_hex();
}

Result<std::string> sha256_hex_of(int fd) {
    constexpr std::size_t kChunkBytes = 256u << 10;  // beyond it the hash, not the number of reads, sets the pace
    std::vector<char> chunk(kChunkBytes);
    Sha256 hash;
    for (;;) {
        const ssize_t count = ::read(fd, chunk.data(), chunk.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail_errno("read to hash", errno);
        if (count == 0) return hash.finish_hex();
        hash.update(chunk.data(), static_cast<std::size_t>(count));
    }
}

}  // namespace modelguard::sys
