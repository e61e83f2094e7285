// What of the machine a confined program sees besides the paths of its policy: programs, libraries, and the few files of /etc and /sys
// that programs cannot do without. No home folder, no /run, no /var, nothing of /etc that holds a secret.
#pragma once

#include <array>
#include <filesystem>

namespace quern {

inline constexpr std::array kSystemFolders{"/usr",   "/bin",    "/sbin", "/lib",       "/lib32",
                                           "/lib64", "/libx32", "/opt",  "/nix/store", "/gnu/store"};

inline constexpr std::array kSystemFiles{"/etc/alternatives",
                                         "/etc/ld.so.cache",
                                         "/etc/ld.so.conf",
                                         "/etc/ld.so.conf.d",
                                         "/etc/passwd",
                                         "/etc/group",
                                         "/etc/nsswitch.conf",
                                         "/etc/localtime",
                                         "/etc/timezone",
                                         "/etc/ssl/certs",
                                         "/etc/ssl/openssl.cnf",
                                         "/etc/pki/tls/certs",
                                         "/etc/pki/ca-trust",
                                         "/etc/ca-certificates",
                                         "/etc/crypto-policies",
                                         "/etc/mime.types",
                                         "/etc/magic",
                                         "/etc/terminfo",
                                         "/etc/inputrc",
                                         "/etc/gitconfig",
                                         "/etc/bash.bashrc",
                                         "/etc/profile",
                                         "/etc/protocols",
                                         "/etc/services",
                                         "/etc/locale.alias",
                                         "/etc/perl",
                                         "/etc/python3",
                                         "/etc/python3.11",
                                         "/etc/java-17-openjdk",
                                         "/etc/fonts",
                                         "/sys/devices/system/cpu"};

// Where the policy grants the network: what finds a host's address.
inline constexpr std::array kNetworkFiles{"/etc/hosts", "/etc/resolv.conf", "/etc/host.conf", "/etc/gai.conf"};

inline constexpr std::array kDevices{"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};

}  // namespace quern
