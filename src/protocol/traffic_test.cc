/// Holds what the codec writes against docs/protocol/schema, by the validator that also checks recorded traffic.
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "protocol/sample_messages.h"

namespace verbund::protocol {
namespace {

/// A recording in a scratch directory of its own.
class Traffic : public ::testing::Test {
 protected:
  Traffic() {
    std::string pattern = (std::filesystem::temp_directory_path() / "protocol_traffic_XXXXXX").string();
    const char* made = mkdtemp(pattern.data());
    EXPECT_NE(made, nullptr);
    directory_ = pattern;
  }
  ~Traffic() override { std::filesystem::remove_all(directory_); }

  void clear() { lines_.clear(); }
  void to_node(std::string_view json) { lines_.append("> ").append(json).append("\n"); }
  void from_node(std::string_view json) { lines_.append("< ").append(json).append("\n"); }
  void exchange(const Request& request, const ReplyBody& reply) {
    std::string json;
    encode_request(json, request);
    to_node(json);
    json.clear();
    encode_reply(json, request.id, reply);
    from_node(json);
  }

  /// The validator's exit code.
  int validate() {
    const auto file = directory_ / "traffic.txt";
    std::ofstream(file) << lines_;
    const auto script = std::filesystem::path(VERBUND_SOURCE_DIR) / "tests/protocol/validate_traffic.py";
    const int status = std::system(fmt::format("'{}' '{}'", script.string(), file.string()).c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  std::filesystem::path directory_;
  std::string lines_;
};

/// The reply body that the documentation has for an operation, among the samples.
std::vector<ReplyBody> replies_to(const RequestBody& request) {
  const auto all_of = [](auto... kinds) {
    std::vector<ReplyBody> out;
    for (const auto& sample : sample_replies()) {
      if ((std::holds_alternative<decltype(kinds)>(sample.body) || ...)) {
        out.push_back(sample.body);
      }
    }
    return out;
  };
  struct Replies {
    decltype(all_of)& of;
    std::vector<ReplyBody> operator()(const Register&) const { return of(Welcome{}, Redirect{}, Refused{}); }
    std::vector<ReplyBody> operator()(const Resume&) const { return of(Welcome{}, Redirect{}, Refused{}); }
    std::vector<ReplyBody> operator()(const Lock&) const { return of(Granted{}, Refused{}); }
    std::vector<ReplyBody> operator()(const Beat&) const { return of(BeatReply{}); }
    std::vector<ReplyBody> operator()(const SetWatch&) const { return {WatchReply{{{""}, {1}}}}; }
    std::vector<ReplyBody> operator()(const Break&) const { return of(Broken{}, Refused{}); }
    std::vector<ReplyBody> operator()(const Tell&) const { return of(Delivered{}); }
    std::vector<ReplyBody> operator()(const Who&) const { return of(SessionList{}); }
    std::vector<ReplyBody> operator()(const Locks&) const { return of(LockList{}); }
    std::vector<ReplyBody> operator()(const StatusQuery&) const { return of(StatusReply{}); }
    std::vector<ReplyBody> operator()(const Goodbye&) const { return {Done{}}; }
    std::vector<ReplyBody> operator()(const Unlock&) const { return {Done{}}; }
    std::vector<ReplyBody> operator()(const Cancel&) const { return {Done{}}; }
    std::vector<ReplyBody> operator()(const Changed&) const { return {Done{}}; }
  };
  return std::visit(Replies{all_of}, request);
}

TEST_F(Traffic, EveryMessageOfTheCodecIsAsItsSchemaSays) {
  int id = 0;
  for (auto request : sample_requests()) {
    for (const auto& reply : replies_to(request.body)) {
      request.id.json = std::to_string(++id);
      exchange(request, reply);
    }
  }
  for (const auto& event : sample_events()) {
    std::string json;
    encode_event(json, event);
    from_node(json);
  }
  EXPECT_EQ(validate(), 0);
}

TEST_F(Traffic, AnErrorWithoutIdIsAsItsSchemaSays) {
  const auto bad = decode_request("{");
  ASSERT_FALSE(bad);
  std::string json;
  encode_refused(json, bad.error().id, {bad.error().error, {}, {}}, Language::kGerman);
  from_node(json);
  EXPECT_EQ(validate(), 0);
}

TEST_F(Traffic, AWrongMessageIsFound) {
  for (const std::string_view line : std::initializer_list<std::string_view>{
           R"({"op":"lock","id":1,"keys":["patient"]})", R"({"op":"lock","id":1,"keys":["a/b"],"colour":"red"})",
           R"({"op":"dance"})", R"({"op":"unlock","keys":["a/b"],"token":"1"})", "{", "[]"}) {
    clear();
    to_node(line);
    EXPECT_EQ(validate(), 1) << line;
  }
}

TEST_F(Traffic, AReplyThatDoesNotFitItsRequestIsFound) {
  to_node(R"({"op":"lock","id":1,"keys":["patient/1"]})");
  from_node(R"({"re":1,"ok":true,"delivered":2})");
  EXPECT_EQ(validate(), 1);
}

}  // namespace
}  // namespace verbund::protocol
