#include "tests/store/tar_bytes.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>

namespace modelguard::store::test {

namespace {

constexpr std::size_t kBlock = 512;
constexpr std::size_t kRecord = 20 * kBlock;

void put(char* header, std::size_t at, std::size_t size, const std::string& text) {
    std::memcpy(header + at, text.data(), std::min(size, text.size()));
}

std::string octal(std::uint64_t value, int digits) {
    char text[32];
    std::snprintf(text, sizeof text, "%0*llo", digits, static_cast<unsigned long long>(value));
    return text;
}

std::string padded(std::string bytes, std::size_t unit) {
    bytes.resize((bytes.size() + unit - 1) / unit * unit, '\0');
    return bytes;
}

std::string packed(std::string_view bytes, int (*add_filter)(archive*)) {
    std::string out(bytes.size() + (1u << 20), '\0');
    std::size_t used = 0;
    archive* writer = archive_write_new();
    archive_write_set_format_raw(writer);
    add_filter(writer);
    archive_write_set_bytes_per_block(writer, 0);
    EXPECT_EQ(archive_write_open_memory(writer, out.data(), out.size(), &used), ARCHIVE_OK);
    archive_entry* entry = archive_entry_new();
    archive_entry_set_filetype(entry, AE_IFREG);
    EXPECT_EQ(archive_write_header(writer, entry), ARCHIVE_OK);
    EXPECT_EQ(archive_write_data(writer, bytes.data(), bytes.size()), static_cast<la_ssize_t>(bytes.size()));
    archive_entry_free(entry);
    EXPECT_EQ(archive_write_close(writer), ARCHIVE_OK);
    archive_write_free(writer);
    out.resize(used);
    return out;
}

}  // namespace

Tar& Tar::add(const TarHeader& entry) {
    char header[kBlock] = {};
    put(header, 0, 100, entry.name);
    put(header, 100, 8, octal(entry.mode, 7));
    put(header, 108, 8, octal(1000, 7));
    put(header, 116, 8, octal(1000, 7));
    put(header, 124, 12, octal(entry.stated_size == UINT64_MAX ? entry.content.size() : entry.stated_size, 11));
    put(header, 136, 12, octal(1'700'000'000, 11));
    put(header, 148, 8, "        ");
    header[156] = entry.type;
    put(header, 157, 100, entry.link);
    std::memcpy(header + 257, "ustar\00000", 8);
    unsigned sum = 0;
    for (const char c : header)
        sum += static_cast<unsigned char>(c);
    put(header, 148, 7, octal(sum, 6));
    bytes_.append(header, kBlock);
    bytes_ += padded(entry.content, kBlock);
    return *this;
}

Tar& Tar::pax(const std::vector<std::pair<std::string, std::string>>& records) {
    std::string content;
    for (const auto& [key, value] : records) {
        // The length counts its own digits.
        const std::string rest = " " + key + "=" + value + "\n";
        std::size_t length = rest.size() + 1;
        while (std::to_string(length).size() + rest.size() != length)
            ++length;
        content += std::to_string(length) + rest;
    }
    return add({.name = "PaxHeader", .content = content, .type = 'x'});
}

std::string Tar::bytes() const { return padded(bytes_ + std::string(2 * kBlock, '\0'), kRecord); }

std::string gzip(std::string_view bytes) { return packed(bytes, archive_write_add_filter_gzip); }
std::string zstd(std::string_view bytes) { return packed(bytes, archive_write_add_filter_zstd); }

Tar good_bundle(const std::string& weights) {
    Tar tar;
    tar.directory("./")
        .file("./modelguard-version.yaml", "label: \"4\"\nserved_version: v4\n")
        .directory("./weights/")
        .file("./weights/model.bin", weights, 0600)
        .file("./run.sh", "#!/bin/sh\n", 0750);
    return tar;
}

}  // namespace modelguard::store::test
