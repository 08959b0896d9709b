// The seat of a machine whose pair has a witness.
#include "base/messages.h"
#include "node/mirror/pair_seat.h"
#include "platform/os/random.h"

namespace verbund::node {

/// The other machine's, when it is newer: one of the two was told by a person.
void PairSeat::learn_witness(const WitnessPlace& place) {
  const std::lock_guard writing(peer_file_);
  {
    const std::lock_guard guard(mutex_);
    if (witness_ && witness_->version >= place.version) return;
  }
  if (auto written = write_witness_place(directory_, place); !written) return log_->error("pair.witness_not_kept", {{"error", written.error().message}});
  {
    const std::lock_guard guard(mutex_);
    witness_ = place;
  }
  log_->info("pair.witness_learnt", {{"host", place.host}, {"port", place.port}});
  driver_->retune(tuning_with(place, installation_->settings().witness));
}

Status PairSeat::use_witness() {
  const std::lock_guard writing(peer_file_);
  auto place = read_witness_place(directory_);
  if (!place) return pass(place);
  {
    const std::lock_guard guard(mutex_);
    witness_ = *place;
  }
  driver_->retune(tuning_with(*place, installation_->settings().witness));
  return {};
}

Result<mirror::WitnessAnswer> PairSeat::call(const mirror::WitnessCall& call) {
  std::optional<WitnessPlace> place;
  mirror::WitnessCall named = call;
  {
    const std::lock_guard guard(mutex_);
    place = witness_;
    named.pair = os::blake2b_hex("verbund witness 1\n" + secret_ + "\n");
  }
  if (!place || place->host.empty()) return PairHands::call(call);
  return call_witness(*place, named);
}

Status PairSeat::guard(std::optional<TimePoint> until) {
  std::error_code ignored;
  if (!lease_) {
    // What an earlier life has left in force is taken back, too.
    if (!until && !std::filesystem::exists(directory_ / "agent" / "lease", ignored)) return {};
    auto opened = LeaseGuard::open(directory_, *log_);
    if (!opened) return pass(opened);
    lease_ = std::move(*opened);
  }
  return lease_->set(until);
}

void PairSeat::promised(Term term, TimePoint until) {
  if (paired_) driver_->promised(term, until);
}

std::optional<nanoseconds> PairSeat::witness_silent() const {
  if (!paired_) return std::nullopt;
  const auto view = driver_->view();
  if (!view.has_witness) return std::nullopt;
  return view.witness_silent;
}

std::optional<mirror::LossReport> PairSeat::taken_over() const {
  const std::lock_guard guard(mutex_);
  const bool still = record_.stage == mirror::Stage::kServing && record_.given && record_.alone;
  return still ? record_.report : std::nullopt;
}

}  // namespace verbund::node
