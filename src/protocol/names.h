#pragma once
/// The words that enumerations have on the wire, each once. Private to protocol. Any thread.
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "protocol/messages.h"

namespace verbund::protocol {

template <typename E>
struct Named {
  E value;
  std::string_view word;
};

/// Specialised for each enumeration below; in the order of the documentation.
template <typename E>
inline constexpr std::array<Named<E>, 0> kWords{};

template <>
inline constexpr std::array kWords<SessionKind>{Named{SessionKind::kWorkstation, "workstation"},
                                                Named{SessionKind::kTool, "tool"}};
template <>
inline constexpr std::array kWords<SessionState>{Named{SessionState::kActive, "active"},
                                                 Named{SessionState::kSuspect, "suspect"},
                                                 Named{SessionState::kReconnecting, "reconnecting"}};
template <>
inline constexpr std::array kWords<LockState>{Named{LockState::kHeld, "held"},
                                              Named{LockState::kReleasing, "releasing"}};
template <>
inline constexpr std::array kWords<ChangeOp>{Named{ChangeOp::kInsert, "insert"}, Named{ChangeOp::kUpdate, "update"},
                                             Named{ChangeOp::kDelete, "delete"}};
template <>
inline constexpr std::array kWords<Mode>{Named{Mode::kShared, "Shared"},
                                         Named{Mode::kTerminalservice, "Terminalservice"},
                                         Named{Mode::kClientServer, "Client-Server"}};
template <>
inline constexpr std::array kWords<LeftReason>{Named{LeftReason::kGoodbye, "goodbye"}, Named{LeftReason::kLost, "lost"},
                                               Named{LeftReason::kReplaced, "replaced"},
                                               Named{LeftReason::kRemoved, "removed"}};
template <>
inline constexpr std::array kWords<LockLostReason>{Named{LockLostReason::kBroken, "broken"},
                                                   Named{LockLostReason::kExpired, "expired"},
                                                   Named{LockLostReason::kRefused, "refused"}};
template <>
inline constexpr std::array kWords<ClosingReason>{
    Named{ClosingReason::kSuperseded, "superseded"}, Named{ClosingReason::kTooSlow, "too_slow"},
    Named{ClosingReason::kShutdown, "shutdown"}, Named{ClosingReason::kRemoved, "removed"}};
template <>
inline constexpr std::array kWords<ChangeAuthor::How>{Named{ChangeAuthor::How::kUnknown, "unknown"},
                                                      Named{ChangeAuthor::How::kMessage, "message"},
                                                      Named{ChangeAuthor::How::kLock, "lock"}};
template <>
inline constexpr std::array kWords<Language>{Named{Language::kGerman, "de"}, Named{Language::kEnglish, "en"}};

template <typename E>
constexpr std::string_view word_of(E value) {
  for (const auto& named : kWords<E>) {
    if (named.value == value) {
      return named.word;
    }
  }
  return {};
}

template <typename E>
constexpr std::optional<E> value_of(std::string_view word) {
  for (const auto& named : kWords<E>) {
    if (named.word == word) {
      return named.value;
    }
  }
  return std::nullopt;
}

/// "'de', 'en'", for messages.
template <typename E>
std::string all_words() {
  std::string words;
  for (const auto& named : kWords<E>) {
    words.append(words.empty() ? "'" : ", '").append(named.word).append("'");
  }
  return words;
}

}  // namespace verbund::protocol
