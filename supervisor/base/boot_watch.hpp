#pragma once
// Who watches this boot and will roll the OS back by itself if it fails: what GRUB's environment and the installed
// greenboot say. Pure; reading the files is the caller's. Not for what is done about it (core, the boot gate).
// Source: grub-editenv's block; greenboot 08_greenboot.cfg (bash); greenboot-rs set-rollback-trigger.

#include <map>
#include <string>
#include <string_view>

namespace modelguard {

/// Where they are, below the root; of the environments the first that is there counts.
inline constexpr const char* kGreenbootProgram = "usr/libexec/greenboot/greenboot";
inline constexpr const char* kGrubEnvs[] = {"boot/grub2/grubenv", "boot/grub/grubenv"};

using GrubEnv = std::map<std::string, std::string, std::less<>>;

/// The variables of a block of any length, damaged ones included: a line without '=' is no variable, of two lines
/// with one name GRUB takes the first. "\\" before a newline or a backslash in a value is taken off.
GrubEnv parse_grubenv(std::string_view block);

enum class Greenboot { none, bash, rs };
/// Which greenboot /usr/libexec/greenboot/greenboot is, by its first bytes (4 are enough); none for an empty text.
Greenboot greenboot_of(std::string_view first_bytes);

/// "greenboot" or "greenboot-rs" where it has this boot on trial and will act if it fails; empty: nobody does.
std::string_view boot_trial(const GrubEnv& env, Greenboot greenboot);
/// GRUB has given up on the default and took the other entry; greenboot has not tidied up after it yet.
bool grub_fell_back(const GrubEnv& env);

}  // namespace modelguard
