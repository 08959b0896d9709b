#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "protocol/codec.h"

#include "base/utf8.h"

namespace verbund::protocol {
namespace {

constexpr std::string_view kLock =
    R"({"op":"lock","id":1742,"keys":["patient/4711"],"wait_ms":0,"request":"17-1742","note":"Befund"})";
constexpr std::string_view kUnlock = R"({"op":"unlock","id":1743,"keys":["patient/4711"],"lsn":"0/16B3748"})";
constexpr std::string_view kBeat = R"({"op":"beat","id":1744})";

LockView sample_lock() {
  return {{"patient", "4711"},
          {281479271677953},
          {17},
          "Empfang 1",
          "anna",
          "192.0.2.7",
          {},
          "Befund",
          LockState::kHeld,
          0};
}

void decode(benchmark::State& state, std::string_view message) {
  for (auto _ : state) {
    auto request = decode_request(message);
    benchmark::DoNotOptimize(request);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(message.size()) * state.iterations());
}
BENCHMARK_CAPTURE(decode, lock, kLock);
BENCHMARK_CAPTURE(decode, unlock, kUnlock);
BENCHMARK_CAPTURE(decode, beat, kBeat);

/// What a node does per lock: the request read and its reply written.
void lock_round_trip(benchmark::State& state) {
  std::string out;
  for (auto _ : state) {
    auto request = decode_request(kLock);
    const auto& lock = std::get<Lock>(request->body);
    Granted granted{{281479271677953}, {{lock.keys.front(), {281479271677953}}}, milliseconds{30'000}};
    out.clear();
    encode_reply(out, request->id, std::move(granted));
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(lock_round_trip);

void beat_round_trip(benchmark::State& state) {
  std::string out;
  const ReplyBody reply = BeatReply{{{"00112233445566778899aabbccddeeff"}, {1099511627790}}};
  for (auto _ : state) {
    auto request = decode_request(kBeat);
    out.clear();
    encode_reply(out, request->id, reply);
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(beat_round_trip);

void encode_lock_granted(benchmark::State& state) {
  std::string out;
  const Event event = LockGranted{{sample_lock()}};
  for (auto _ : state) {
    out.clear();
    encode_event(out, event);
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(encode_lock_granted);

void decode_lock_granted(benchmark::State& state) {
  std::string message;
  encode_event(message, LockGranted{{sample_lock()}});
  for (auto _ : state) {
    auto event = decode_from_server(message);
    benchmark::DoNotOptimize(event);
  }
}
BENCHMARK(decode_lock_granted);

void valid_utf8_of(benchmark::State& state, std::string_view piece) {
  std::string text;
  while (text.size() < 65'536) {
    text += piece;
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize(is_utf8(text));
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(text.size()) * state.iterations());
}
BENCHMARK_CAPTURE(valid_utf8_of, ascii, "patient/4711 ");
BENCHMARK_CAPTURE(valid_utf8_of, german, "Müller über Größe ");

/// A hostile message of the largest size: many fields that nobody knows.
void decode_many_fields(benchmark::State& state) {
  std::string message = R"({"op":"beat")";
  for (int i = 0; i < 60'000; ++i) {
    message += fmt::format(R"(,"k{}":{})", i, i);
  }
  message += '}';
  for (auto _ : state) {
    benchmark::DoNotOptimize(decode_request(message));
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(message.size()) * state.iterations());
}
BENCHMARK(decode_many_fields)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace verbund::protocol
