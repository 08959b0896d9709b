// A tree of 20,000 files, 1 GB, from the page cache into nothing: beside GNU tar, which has the same to do.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "backup/folders.h"
#include "backup/memory_stream_fixture.h"
#include "testing/scratch_directory.h"

namespace verbund::backup {
namespace {

constexpr std::uint64_t kSmallFiles = 19'900, kLargeFiles = 100;

class Nowhere final : public Sink {
 public:
  Status write(std::string_view bytes) override {
    written += bytes.size();
    return {};
  }
  Status finish() override { return {}; }
  std::uint64_t written = 0;
};

class Silent final : public Progress {
 public:
  void moved(std::string_view, std::uint64_t, std::uint64_t) override {}
};

const std::filesystem::path& tree() {
  static const verbund::testing::ScratchDirectory scratch;
  static const bool made = [] {
    for (std::uint64_t i = 0; i < kSmallFiles + kLargeFiles; ++i) {
      const auto folder = scratch.path() / fmt::format("{:03}", i % 200);
      std::filesystem::create_directories(folder);
      std::ofstream(folder / fmt::format("file-{}", i), std::ios::binary) << sample_bytes(i, i < kSmallFiles ? 25'000 : 5'000'000);
    }
    return true;
  }();
  (void)made;
  return scratch.path();
}

void save_tree(benchmark::State& state, bool with_index) {
  SaveFolderOptions options;
  options.root = tree();
  Silent progress;
  std::uint64_t bytes = 0;
  for (auto _ : state) {
    Nowhere archive, index;
    const auto saved = save_folder(options, archive, with_index ? &index : nullptr, progress);
    if (!saved || !saved->findings.complete()) state.SkipWithError("not complete");
    bytes += archive.written;
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes));
}

void BM_SaveFolder(benchmark::State& state) { save_tree(state, true); }
void BM_SaveFolderWithoutIndex(benchmark::State& state) { save_tree(state, false); }
BENCHMARK(BM_SaveFolder)->Unit(benchmark::kMillisecond)->UseRealTime()->Repetitions(3);
BENCHMARK(BM_SaveFolderWithoutIndex)->Unit(benchmark::kMillisecond)->UseRealTime()->Repetitions(3);

void BM_GnuTar(benchmark::State& state) {
  const std::string command = fmt::format("tar --format=posix --acls --xattrs --sort=name -C '{}' -cf - . | cat >/dev/null", tree().native());
  for (auto _ : state) {
    if (std::system(command.c_str()) != 0) state.SkipWithError("tar failed");
  }
}
BENCHMARK(BM_GnuTar)->Unit(benchmark::kMillisecond)->UseRealTime()->Repetitions(3);

}  // namespace
}  // namespace verbund::backup
