#include <random>

#include <gtest/gtest.h>

#include "platform/net/frame_reader.h"
#include "platform/net/http_codec.h"
#include "platform/net/line_reader.h"
#include "base/utf8.h"

namespace verbund::net {
namespace {

using namespace std::string_literals;

TEST(FirstBytes, TellTlsHttpAndLines) {
  EXPECT_EQ(detect_speech('\x16'), Speech::kTls);
  EXPECT_EQ(detect_speech('G'), Speech::kHttp);
  EXPECT_EQ(detect_speech('{'), Speech::kLine);
  EXPECT_EQ(detect_speech('\n'), Speech::kLine);
}

TEST(LineReader, GivesTheSameLinesHoweverTheyArrive) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 2000; ++round) {
    std::string stream;
    for (int i = 0; i < 200; ++i) stream += "\r\nab"s[random() % 4];
    const auto run = [&](bool pieces) {
      std::vector<std::string> lines;
      LineReader reader;
      std::string input;
      for (std::size_t at = 0; at < stream.size();) {
        const auto size = pieces ? std::min<std::size_t>(1 + random() % 7, stream.size() - at) : stream.size();
        input += stream.substr(at, size);
        at += size;
        while (true) {
          const auto step = reader.next(input, 4);
          if (step.event == LineReader::Event::kLine) lines.emplace_back(step.line);
          if (step.event == LineReader::Event::kTooLarge) lines.push_back(fmt::format("too large: {}", step.bytes));
          input.erase(0, step.consumed);
          if (step.event == LineReader::Event::kNeedMore) break;
        }
        EXPECT_LE(input.size(), pieces ? 5 + 7 : stream.size());
      }
      return lines;
    };
    // A '\r' that ended one piece of a skipped line may count; everything else is the same.
    const auto whole = run(false);
    const auto split = run(true);
    ASSERT_EQ(whole.size(), split.size());
    for (std::size_t i = 0; i < whole.size(); ++i) {
      if (!whole[i].starts_with("too")) {
        EXPECT_EQ(whole[i], split[i]);
      }
    }
  }
}

std::string masked(Opcode opcode, std::string_view payload, bool fin = true) {
  std::string out;
  append_masked_frame(out, opcode, payload, 0xA1B2C3D4);
  if (!fin) out[0] = static_cast<char>(out[0] & 0x7f);
  return out;
}

/// Events as text, of a stream fed byte for byte.
std::vector<std::string> read_frames(std::string_view stream, std::size_t max = 100'000) {
  FrameReader reader(FrameSide::kServer);
  std::vector<std::string> seen;
  std::string input;
  for (const char byte : stream) {
    input += byte;
    while (true) {
      const auto step = reader.next(input, max);
      static constexpr std::array kNames{"", "message ", "ping ", "pong ", "close ", "failed "};
      if (step.event == FrameReader::Event::kFailed) {
        seen.push_back("failed " + std::to_string(static_cast<int>(step.code)));
        return seen;
      }
      if (step.event != FrameReader::Event::kNeedMore) {
        seen.push_back(kNames.at(static_cast<std::size_t>(step.event)) + std::string(step.payload));
      }
      input.erase(0, step.consumed);
      if (step.consumed == 0) break;
    }
  }
  return seen;
}

using Events = std::vector<std::string>;

TEST(FrameReader, PutsFragmentsTogetherAndLetsControlFramesBetween) {
  const auto stream = masked(Opcode::kText, "Gr", false) + masked(Opcode::kPing, "?") +
                      masked(Opcode::kContinuation, "\xc3", false) + masked(Opcode::kContinuation, "\xbc\xc3\x9f") +
                      masked(Opcode::kText, "") + masked(Opcode::kPong, "") + masked(Opcode::kClose, "\x03\xe8zu");
  EXPECT_EQ(read_frames(stream), (Events{"ping ?", "message Grüß", "message ", "pong ", "close \x03\xe8zu"}));
}

TEST(FrameReader, TakesEachLengthForm) {
  for (const std::size_t size : {0, 125, 126, 127, 65'535, 65'536, 99'999}) {
    const auto seen = read_frames(masked(Opcode::kText, std::string(size, 'x')));
    ASSERT_EQ(seen.size(), 1U);
    EXPECT_EQ(seen[0].size(), size + 8);
  }
}

TEST(FrameReader, RefusesWhatTheRfcForbids) {
  EXPECT_EQ(read_frames("\xc1\x80\0\0\0\0"s), Events{"failed 1002"});                          // reserved bit
  EXPECT_EQ(read_frames("\x83\x80\0\0\0\0"s), Events{"failed 1002"});                          // reserved opcode
  EXPECT_EQ(read_frames("\x81\x01x"), Events{"failed 1002"});                                  // not masked
  EXPECT_EQ(read_frames(masked(Opcode::kPing, "", false)), Events{"failed 1002"});             // fragmented control
  EXPECT_EQ(read_frames(masked(Opcode::kPing, std::string(126, 'x'))), Events{"failed 1002"});
  EXPECT_EQ(read_frames(masked(Opcode::kContinuation, "x")), Events{"failed 1002"});           // of nothing
  EXPECT_EQ(read_frames(masked(Opcode::kText, "x", false) + masked(Opcode::kText, "y")), Events{"failed 1002"});
  EXPECT_EQ(read_frames("\x81\xfe\x00\x05....xxxxx"s), Events{"failed 1002"});                 // not the shortest form
  EXPECT_EQ(read_frames("\x81\xff\xff\0\0\0\0\0\0\0...."s), Events{"failed 1002"});            // 64th bit
  EXPECT_EQ(read_frames(masked(Opcode::kClose, "\x03")), Events{"failed 1002"});
  EXPECT_EQ(read_frames(masked(Opcode::kClose, "\x03\xed")), Events{"failed 1002"});           // 1005 is never sent
  EXPECT_EQ(read_frames(masked(Opcode::kClose, "\x03\xe8\xff")), Events{"failed 1007"});
  EXPECT_EQ(read_frames(masked(Opcode::kText, "\xed\xa0\x80")), Events{"failed 1007"});
  EXPECT_EQ(read_frames(masked(Opcode::kBinary, "x")), Events{"failed 1003"});
  EXPECT_EQ(read_frames(masked(Opcode::kText, "xxxx"), 3), Events{"failed 1009"});
  EXPECT_EQ(read_frames(masked(Opcode::kText, "xx", false) + masked(Opcode::kContinuation, "xx"), 3), Events{"failed 1009"});
}

TEST(Utf8, FollowsRfc3629) {
  for (const auto good : {"", "abcdefghijklm", "Größe", "\u20ac", "\U0001F600", "\xed\x9f\xbf", "\xee\x80\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_utf8(good)) << good;
  }
  for (const auto bad : {"\x80", "\xc0\x80", "\xc3", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
                         "\xf5\x80\x80\x80", "abcdefgh\xff", "\xe2\x82"}) {
    EXPECT_FALSE(is_utf8(bad)) << bad;
  }
}

TEST(Cookies, AreFoundByName) {
  EXPECT_EQ(cookie_value("a=1; verbund=xyz; b=\"q\"", "verbund"), "xyz");
  EXPECT_EQ(cookie_value("a=1;b=\"q\"", "b"), "q");
  EXPECT_EQ(cookie_value("xverbund=1; verbund", "verbund"), "");
}

}  // namespace
}  // namespace verbund::net
