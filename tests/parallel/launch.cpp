#include <map>

#include "ranks.hpp"

using namespace neuroinhib;
using testing::check_error;
using testing::world;

namespace {

using Environment = std::map<std::string, std::string>;

Launch launched(const Environment& environment) {
  return launch([&](const char* name) {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  });
}

}  // namespace

TEST_CASE("each launcher's variables give rank, size and local rank") {
  const auto check = [](const Environment& environment, int rank, int size, int local, const std::string& launcher) {
    const Launch result = launched(environment);
    CHECK(result.rank == rank);
    CHECK(result.size == size);
    CHECK(result.local_rank == local);
    CHECK(result.launcher == launcher);
  };
  const Environment slurm{{"SLURM_PROCID", "5"}, {"SLURM_NTASKS", "8"}, {"SLURM_LOCALID", "1"}};
  const auto with = [](Environment a, const Environment& b) {
    a.insert(b.begin(), b.end());
    return a;
  };
  check({}, 0, 1, 0, "none");
  check(with(slurm, {{"SLURM_STEP_ID", "0"}}), 5, 8, 1, "srun");
  check(slurm, 0, 1, 0, "none");  // the script of sbatch itself
  check(with(slurm, {{"SLURM_STEP_ID", "batch"}}), 0, 1, 0, "none");
  const Environment open_mpi{
      {"OMPI_COMM_WORLD_RANK", "2"}, {"OMPI_COMM_WORLD_SIZE", "4"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "0"}};
  check(with(with(slurm, {{"SLURM_STEP_ID", "0"}}), open_mpi), 2, 4, 0, "Open MPI's mpirun");
  check({{"PMI_RANK", "1"}, {"PMI_SIZE", "2"}}, 1, 2, 0, "MPICH's mpirun");
  const Environment torchrun{{"TORCHELASTIC_RUN_ID", "x"}, {"RANK", "3"}, {"WORLD_SIZE", "6"}, {"LOCAL_RANK", "1"}};
  check(with(open_mpi, torchrun), 3, 6, 1, "torchrun");
  check({{"RANK", "1"}, {"WORLD_SIZE", "2"}}, 1, 2, 0, "RANK and WORLD_SIZE");
}

TEST_CASE("a launcher's variables that are missing, no numbers or contradictory are refused by their names") {
  check_error<ConfigError>([] { (void)launched({{"WORLD_SIZE", "2"}}); }, {"RANK", "none"});
  check_error<ConfigError>([] { (void)launched({{"PMI_SIZE", "2"}, {"PMI_RANK", "two"}}); }, {"PMI_RANK", "\"two\""});
  check_error<ConfigError>([] { (void)launched({{"WORLD_SIZE", "2"}, {"RANK", "2"}}); },
                           {"RANK below WORLD_SIZE", "2 of 2"});
}

TEST_CASE("the ranks are those that the launcher started") {
  CHECK(world()->size() == launch().size);
  CHECK(world()->rank() == launch().rank);
  CHECK(world()->describe().find("process " + std::to_string(getpid())) != std::string::npos);
}

TEST_CASE("texts of ranks are gathered, and ranks that disagree are refused on all of them") {
  const int rank = world()->rank(), last = world()->size() - 1;
  const auto texts = gather_texts(*world(), std::string(static_cast<std::size_t>(rank), 'x'));
  for (std::size_t r = 0; r < texts.size(); ++r) CHECK(texts[r].size() == r);
  const std::string configuration = rank == last ? "width 8" : "width 4";
  check_error<ConfigError>(
      [&] {
        require_agreement(*world(), "one configuration", configuration, "start every rank with the same options");
      },
      {"one configuration on all ranks", "\"width 4\" on rank 0 and \"width 8\" on rank " + std::to_string(last)});
  require_agreement(*world(), "one configuration", "width 4", "start every rank with the same options");
  const std::string trouble = rank == 1 ? "the disk is full" : "";
  CHECK(testing::message_of<Error>([&] { require_success(*world(), trouble); }) == "rank 1: the disk is full");
  require_success(*world(), "");
}
