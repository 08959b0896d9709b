#include "web/assets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <string>
#include <vector>

namespace verbund::web {
namespace {

std::vector<unsigned char> inflated(const Asset& asset) {
  std::vector<unsigned char> out(asset.plain.size() + 1);
  z_stream stream{};
  stream.next_in = const_cast<unsigned char*>(asset.body.data());  // zlib's old interface lacks const
  stream.avail_in = static_cast<uInt>(asset.body.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(inflateInit2(&stream, MAX_WBITS + 16), Z_OK);
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  inflateEnd(&stream);
  return out;
}

TEST(WebAssets, RootIsThePage) {
  const Asset* root = find_asset("/");
  ASSERT_NE(root, nullptr);
  EXPECT_EQ(root, find_asset("/index.html"));
  EXPECT_EQ(root->content_type, "text/html; charset=utf-8");
  EXPECT_EQ(root->cache_control, "no-cache");
}

TEST(WebAssets, EveryAssetIsFoundByItsPathAndNothingElseIs) {
  for (const Asset& asset : all_assets()) EXPECT_EQ(find_asset(asset.path), &asset);
  for (const char* path : {"", "index.html", "/index.htm", "/../etc/passwd", "/index.html/"}) {
    EXPECT_EQ(find_asset(path), nullptr) << path;
  }
}

TEST(WebAssets, CompressedBodiesInflateToThePlainOnes) {
  for (const Asset& asset : all_assets()) {
    if (!asset.gzip) continue;
    EXPECT_TRUE(std::ranges::equal(inflated(asset), asset.plain)) << asset.path;
  }
}

TEST(WebAssets, PageHasNoInlineScriptOrStyle) {
  const Asset* root = find_asset("/");
  const std::string page(root->plain.begin(), root->plain.end());
  EXPECT_THAT(page, testing::Not(testing::HasSubstr("<script>")));
  EXPECT_THAT(page, testing::Not(testing::HasSubstr("<style")));
  EXPECT_THAT(page, testing::Not(testing::HasSubstr("style=")));
}

TEST(WebAssets, ETagsAreQuotedAndDiffer) {
  std::vector<std::string_view> tags;
  for (const Asset& asset : all_assets()) {
    EXPECT_TRUE(asset.etag.size() > 2 && asset.etag.front() == '"' && asset.etag.back() == '"');
    tags.push_back(asset.etag);
  }
  std::ranges::sort(tags);
  EXPECT_EQ(std::ranges::adjacent_find(tags), tags.end());
}

}  // namespace
}  // namespace verbund::web
