// The way of a stream into a set beside what a user would type, the same bytes in turn:
//   backup_bench --benchmark_filter=Stream     512 MiB that compress about as a dump does
// peer:   cat FILE | zstd -3 -T2 | tee OUT | sha256sum, then sync of OUT
// ours:   cat FILE | SetWriter (hash, zstd -3 with 2 threads, split, hash, sync, publish); sealed: encrypted, too
// CPU is that of the whole process; the peer's is its children's and not counted.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "backup/memory_stream_fixture.h"
#include "backup/set.h"
#include "testing/scratch_directory.h"

namespace verbund::backup {
namespace {

namespace fs = std::filesystem;

void need(const Status& done) {
  if (done) return;
  std::fprintf(stderr, "%s\n", done.error().message.c_str());
  std::exit(1);
}

void write_set(const fs::path& target, const fs::path& file, std::uint64_t sequence, std::vector<Recipient> recipients) {
  static const SigningKey key = SigningKey::generate();
  WriteOptions options;
  options.target = target;
  options.id = set_id({}, sequence);
  options.recipients = std::move(recipients);
  auto writer = SetWriter::begin(options, key);
  need(writer ? Status{} : pass(writer));
  {
    auto sink = writer->add("db/x.dump", Content::kDatabase);
    need(sink ? Status{} : pass(sink));
    std::FILE* pipe = ::popen(fmt::format("cat '{}'", file.native()).c_str(), "r");
    if (pipe == nullptr) std::exit(1);
    std::string buffer(1 << 20, '\0');
    for (ssize_t got = 0; (got = ::read(::fileno(pipe), buffer.data(), buffer.size())) > 0;) {
      need((*sink)->write(std::string_view(buffer).substr(0, static_cast<std::size_t>(got))));
    }
    ::pclose(pipe);
    need((*sink)->finish());
  }
  const auto published = writer->publish({});
  need(published ? Status{} : Status(std::unexpected(published.error())));
  fs::remove_all(*published);
}

/// A stream of 512 MiB in the page cache, and room for what is made of it.
const fs::path& scratch() {
  static const testing::ScratchDirectory directory;
  static const bool made = [] {
    std::ofstream out(directory.path() / "data", std::ios::binary);
    for (std::uint64_t i = 0; i < 64; ++i) out << sample_bytes(i, 8 << 20);
    return out.good();
  }();
  if (!made) std::exit(1);
  return directory.path();
}

void StreamByHand(benchmark::State& state) {
  const std::string out = (scratch() / "peer.zst").native();
  const std::string command =
      fmt::format("cat '{}' | zstd -q -3 -T2 | tee '{}' | sha256sum >/dev/null && sync '{}'", (scratch() / "data").native(), out, out);
  for ([[maybe_unused]] auto round : state) {
    if (std::system(command.c_str()) != 0) state.SkipWithError("the pipeline failed");
  }
}

void StreamIntoASet(benchmark::State& state) {
  static const RecipientKey person = RecipientKey::generate("x", {});
  std::vector<Recipient> recipients;
  if (state.range(0) == 1) recipients.push_back(person.recipient());
  std::uint64_t sequence = 0;
  for ([[maybe_unused]] auto round : state) write_set(scratch(), scratch() / "data", ++sequence, recipients);
}

BENCHMARK(StreamByHand)->Unit(benchmark::kMillisecond)->UseRealTime()->MeasureProcessCPUTime()->Iterations(3);
BENCHMARK(StreamIntoASet)->ArgName("sealed")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond)->UseRealTime()->MeasureProcessCPUTime()->Iterations(3);

}  // namespace
}  // namespace verbund::backup
