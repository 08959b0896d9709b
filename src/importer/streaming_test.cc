/// What is read is let go: 24 MiB through each reader raise the process's peak memory by a small part of it.
#include <gmock/gmock.h>

#include <fstream>

#include "importer/csv/reader.h"
#include "importer/xdt/mapping.h"
#include "importer/xdt_samples.h"

namespace verbund::importer {
namespace {

constexpr std::size_t kTotalBytes = 24 * 1024 * 1024;
constexpr std::size_t kAllowedBytes = 8 * 1024 * 1024;

/// Highest resident size since the last call of forget_peak.
std::size_t peak_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoul(line.substr(6)) * 1024;
  }
  return 0;
}
bool forget_peak() {
  std::ofstream file("/proc/self/clear_refs");
  file << "5";
  file.flush();
  return file.good();
}

TEST(Streaming, GdtAndBdtFilesOfAnySizeTakeLittleMemory) {
  const auto text = xdt::record({"80006200", "30001", "620003062024", "6001I10.90", "6220" + std::string(200, 'x'), "6230120/80"});
  if (!forget_peak()) GTEST_SKIP() << "the peak can't be reset here";
  const auto before = peak_bytes();
  std::size_t items = 0;
  xdt::XdtReader reader(
      {},
      [&](xdt::XdtRecord& record) {
        items += xdt::map_record(record, {}).size();
        return true;
      },
      {});
  for (std::size_t fed = 0; fed < kTotalBytes; fed += text.size()) ASSERT_TRUE(reader.feed(text));
  ASSERT_TRUE(reader.finish());
  EXPECT_GT(items, 50'000U);
  EXPECT_LT(peak_bytes(), before + kAllowedBytes);
}

TEST(Streaming, CsvFilesOfAnySizeTakeLittleMemory) {
  const std::string text = "Müller;Jörg;\"" + std::string(200, 'x') + "\";31.12.1974\r\n";
  if (!forget_peak()) GTEST_SKIP() << "the peak can't be reset here";
  const auto before = peak_bytes();
  std::size_t rows = 0;
  csv::CsvReader reader({}, {}, [&](csv::CsvRow& row) {
    rows += row.fields.size() == 4 ? 1 : 0;
    return true;
  });
  for (std::size_t fed = 0; fed < kTotalBytes; fed += text.size()) ASSERT_TRUE(reader.feed(text));
  ASSERT_TRUE(reader.finish());
  EXPECT_GT(rows, 90'000U);
  EXPECT_LT(peak_bytes(), before + kAllowedBytes);
}

}  // namespace
}  // namespace verbund::importer
