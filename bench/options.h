#pragma once
/// The generators' command line: `--name value` pairs. A generator that cannot go on says why and ends with 1.
#include <map>
#include <string>
#include <string_view>

namespace verbund::bench {

/// Ends the process: "what: why" on standard error. For a benchmark a wrong answer is as final as none.
[[noreturn]] void give_up(std::string_view what, std::string_view why);
/// The same with errno as the reason.
[[noreturn]] void give_up_errno(std::string_view what);

class Options {
 public:
  Options(int argc, char** argv);
  [[nodiscard]] std::string text(const std::string& name, std::string fallback) const;
  [[nodiscard]] std::string text(const std::string& name) const;  ///< required
  [[nodiscard]] long number(const std::string& name, long fallback) const;

 private:
  std::map<std::string, std::string> values_;
};

/// `token` of a client.toml: secrets come in files, never in arguments.
std::string token_of(const std::string& client_toml);
/// As many descriptors as the machine allows; gives up below `needed`.
void raise_descriptor_limit(unsigned long needed);

}  // namespace verbund::bench
