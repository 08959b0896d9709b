#pragma once
/// The program's version; CMake hands it in from project(VERSION …).
namespace verbund::node {
inline constexpr const char* kVersion = VERBUND_VERSION;
}
