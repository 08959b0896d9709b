#include "web/assets.h"

#include <algorithm>

#include "web/asset_table.inc"  // made by tools/embed-assets: extern symbols of asset_bytes.S and kAssets

namespace verbund::web {

std::span<const Asset> all_assets() { return kAssets; }

const Asset* find_asset(std::string_view path) {
  const auto found = std::find_if(std::begin(kAssets), std::end(kAssets), [&](const Asset& asset) { return asset.path == path; });
  return found == std::end(kAssets) ? nullptr : found;
}

}  // namespace verbund::web
