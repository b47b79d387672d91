// Corruptions, attacks and detection of mutual_inform_vision against other people's Python: fixtures/make_vision.py.

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <set>

#include <neuroinhib/io/safetensors.hpp>

#include "attacks.hpp"
#include "corruptions.hpp"
#include "data/written_pictures.hpp"
#include "detection.hpp"
#include "images.hpp"
#include "raster.hpp"
#include "renditions.hpp"
#include "support.hpp"

using namespace testing;
using data::Picture;

namespace {

const io::Safetensors& fixture() {
  static const io::Safetensors reader(std::filesystem::path(NEUROINHIB_FIXTURES) / "vision.safetensors");
  return reader;
}
std::vector<double> numbers(const std::string& name) {
  return fixture().values<double>(name);
}
Picture picture(const std::string& name) {
  const Shape shape = fixture().shape(name);
  return {shape[0], shape[1], shape[2], fixture().values<std::uint8_t>(name)};
}

/// The fixtures' random numbers.
class Generator {
 public:
  [[nodiscard]] vision::Draws draws() {
    return {[this] { return one(); },
            [this] {
              double sum = -6;
              for (int i = 0; i < 12; ++i) sum += one();
              return sum;
            }};
  }

 private:
  double one() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<double>(state_ >> 11) / 9007199254740992.0;
  }
  std::uint64_t state_ = 1;
};

struct Difference {
  double mean = 0;
  int most = 0;
};
Difference difference(const Picture& a, const Picture& b) {
  REQUIRE(a.pixels.size() == b.pixels.size());
  Difference result;
  for (std::size_t i = 0; i < a.pixels.size(); ++i) {
    const int apart = std::abs(int{a.pixels[i]} - int{b.pixels[i]});
    result.mean += apart / static_cast<double>(a.pixels.size());
    result.most = std::max(result.most, apart);
  }
  return result;
}

std::size_t number_of(std::string_view corruption) {
  return static_cast<std::size_t>(std::find(vision::kCorruptions.begin(), vision::kCorruptions.end(), corruption) -
                                  vision::kCorruptions.begin());
}

void write(const std::filesystem::path& path, const std::string& content) {
  std::filesystem::create_directories(path.parent_path());
  io::write_file(path, content);
}
/// CIFAR-10 records of these labels.
std::string cifar(const std::vector<int>& labels) {
  std::string all;
  for (const int label : labels)
    all += std::string(1, static_cast<char>(label)) + std::string(3072, static_cast<char>(label * 20));
  return all;
}
/// An IDX file of bytes that count up.
std::string idx(const std::vector<int>& extents) {
  std::string all{'\0', '\0', '\10', static_cast<char>(extents.size())};
  int bytes = 1;
  for (const int extent : extents) {
    all += std::string{'\0', '\0', static_cast<char>(extent / 256), static_cast<char>(extent % 256)};
    bytes *= extent;
  }
  for (int i = 0; i < bytes; ++i) all += static_cast<char>(i);
  return all;
}
vision::Settings settings_for(const std::filesystem::path& folder) {
  vision::Settings settings;
  settings.data = folder;
  settings.side = 8;
  return settings;
}

data::ImageSet some_digits() {
  data::ImageSet set{"a slope", 28, 28, {}, {0, 1, 2}, {0, 0, 0}};
  for (int i = 0; i < 3 * 28 * 28; ++i) set.pixels.push_back(static_cast<std::uint8_t>(i * 37 % 256));
  return set;
}

}  // namespace

TEST_CASE("corruptions are those of the package imagecorruptions, at every severity") {
  for (std::size_t c = 0; c < vision::kCorruptions.size(); ++c) {
    const std::string name(vision::kCorruptions[c]);
    if (name == "frost") continue;
    for (int severity = 1; severity <= vision::kSeverities; ++severity) {
      INFO(name, ", severity ", severity);
      Generator generator;
      const Picture ours = vision::corrupted(picture("picture"), c, severity, generator.draws(), 1);
      const auto [mean, most] = difference(ours, picture(name + "." + std::to_string(severity)));
      CHECK(mean < .1);
      CHECK(most <= 2);
    }
  }
}

TEST_CASE("frost whitens a black picture, more with each severity, most at the edges") {
  const Picture black{40, 40, 1, std::vector<std::uint8_t>(1600)};
  double before = 0;
  for (int severity = 1; severity <= vision::kSeverities; ++severity) {
    Generator generator;
    const Picture frosted = vision::corrupted(black, number_of("frost"), severity, generator.draws(), 1);
    double edge = 0, middle = 0;
    for (Index row = 0; row < 40; ++row)
      for (Index column = 0; column < 40; ++column)
        (std::min({row, column, 39 - row, 39 - column}) < 4 ? edge : middle) +=
            frosted.pixels[static_cast<std::size_t>(row * 40 + column)];
    CHECK(edge / (1600 - 32 * 32) > middle / (32 * 32));
    CHECK(edge >= before);
    before = edge;
  }
}

TEST_CASE("a set's corruptions are the same each time, differ by severity and keep size and labels") {
  const data::ImageSet set = some_digits();
  for (std::size_t c = 0; c < vision::kCorruptions.size(); ++c) {
    INFO(vision::kCorruptions[c]);
    const data::ImageSet first = vision::corrupted(set, c, 1), worst = vision::corrupted(set, c, 5);
    CHECK(vision::corrupted(set, c, 1).pixels == first.pixels);
    CHECK(first.pixels.size() == set.pixels.size());
    CHECK(first.labels == set.labels);
    CHECK(worst.pixels != set.pixels);
    CHECK(worst.pixels != first.pixels);
  }
}

TEST_CASE("renditions show the same image otherwise") {
  const data::ImageSet set = some_digits();
  std::set<std::vector<std::uint8_t>> all{set.pixels};
  for (std::size_t r = 0; r < vision::kRenditions.size(); ++r) {
    const data::ImageSet other = vision::rendered(set, r);
    CHECK(other.labels == set.labels);
    CHECK(other.pixels.size() == set.pixels.size());
    CHECK_MESSAGE(all.insert(other.pixels).second, vision::kRenditions[r], " changes nothing");
  }
  data::ImageSet flat = set;
  std::fill(flat.pixels.begin(), flat.pixels.end(), std::uint8_t{200});
  const auto rendered = [&](std::string_view name) {
    return vision::rendered(
        flat, static_cast<std::size_t>(std::find(vision::kRenditions.begin(), vision::kRenditions.end(), name) -
                                       vision::kRenditions.begin()));
  };
  CHECK(rendered("negative").pixels.front() == 55);
  CHECK(rendered("outline").pixels[14 * 28 + 14] == 0);
  CHECK(rendered("posterised").pixels.front() == 170);
}

TEST_CASE("images come from CIFAR's files, a tenth of training for validation, with squares in colour as outliers") {
  const TemporaryFolder folder;
  for (const char number : std::string("12345"))
    write(folder / ("data_batch_" + std::string(1, number) + ".bin"), cifar({0, 1, 2, 3}));
  write(folder / "test_batch.bin", cifar({3, 2}));
  const vision::Images images = vision::load_images(settings_for(folder.path));
  CHECK(images.training.count() == 18);
  CHECK(images.validation.count() == 2);
  CHECK(images.classes == 4);
  CHECK(images.test.labels == std::vector<int>{3, 2});
  CHECK(images.outliers.count() == 2);
  CHECK(images.outliers.channels == 3);
  CHECK(images.outliers.height == 32);
  CHECK(!images.renditions);
  write(folder / "test_batch.bin", cifar({3, 4}));
  check_error<ConfigError>([&] { (void)vision::load_images(settings_for(folder.path)); },
                           {"labels from 0 to 3", "got 4"});
  std::filesystem::create_directories(folder / "imagenet-r");
  write(folder / "test_batch.bin", cifar({3, 2}));
  check_error<ConfigError>([&] { (void)vision::load_images(settings_for(folder.path)); }, {"no folder imagenet-r"});
}

TEST_CASE(
    "test images of another form than training's, or none, are refused, and pictures beside images are fitted to "
    "them") {
  const TemporaryFolder folder;
  const auto write_part = [&](const std::string& part, const std::vector<int>& extents) {
    write(folder / (part + "-images-idx3-ubyte"), idx(extents));
    write(folder / (part + "-labels-idx1-ubyte"), idx({extents[0]}));
  };
  const auto refused = [&](const std::vector<std::string>& parts) {
    check_error<ConfigError>([&] { (void)vision::load_images(settings_for(folder.path)); }, parts);
  };
  write_part("train", {10, 6, 7});
  write_part("t10k", {3, 7, 6});
  refused({"test images", "6 × 7, channels 1", "got 7 × 6, channels 1"});
  write_part("t10k", {0, 6, 7});
  refused({"test images", "one or more", "none"});
  write_part("t10k", {3, 6, 7});
  write(folder / "imagenet-o" / "shark" / "a.png", written::png(written::slopes(20, 20)));
  const data::ImageSet others = vision::load_images(settings_for(folder.path)).outliers;
  CHECK(others.count() == 1);
  CHECK(others.pixels.size() == 6 * 7);
}

TEST_CASE("images come from folders of pictures, with ImageNet's other sets beside them") {
  const TemporaryFolder folder;
  for (int i = 0; i < 10; ++i) {
    write(folder / "train" / "cat" / (std::to_string(i) + ".png"), written::png(written::slopes(9, 9 + i)));
    write(folder / "train" / "dog" / (std::to_string(i) + ".jpg"), written::jpeg(written::slopes(12 + i, 9)));
  }
  write(folder / "val" / "dog" / "a.png", written::png(written::slopes(20, 20)));
  const vision::Images alone = vision::load_images(settings_for(folder.path));
  CHECK(alone.training.count() == 18);
  CHECK(alone.training.height == 8);
  CHECK(alone.test.labels == std::vector<int>{1});
  CHECK(alone.outliers_name == "squares of the mixed numbers");
  write(folder / "imagenet-r" / "cat" / "a.png", written::png(written::slopes(20, 20)));
  write(folder / "imagenet-a" / "dog" / "a.png", written::png(written::slopes(20, 20)));
  write(folder / "imagenet-o" / "shark" / "a.png", written::png(written::slopes(20, 20)));
  const vision::Images images = vision::load_images(settings_for(folder.path));
  REQUIRE(images.renditions);
  CHECK(images.renditions->labels == std::vector<int>{0});
  REQUIRE(images.adversarial);
  CHECK(images.adversarial->labels == std::vector<int>{1});
  CHECK(images.outliers_name == "imagenet-o");
  CHECK(images.outliers.count() == 1);
  check_error<IoError>([&] { (void)vision::load_images(settings_for(folder / "val")); },
                       {"train and val", "none of them"});
}

TEST_CASE("resizing is Pillow's") {
  for (const auto& [height, width] : {std::pair<Index, Index>{11, 9}, {40, 30}, {24, 7}}) {
    const std::string name = "bilinear." + std::to_string(height) + "." + std::to_string(width);
    CHECK(difference(data::resized(picture("picture"), height, width), picture(name)).most <= 1);
  }
}

TEST_CASE("average precision is scikit-learn's, and that of the sum over all thresholds") {
  const auto outliers = numbers("detection.outliers"), inliers = numbers("detection.inliers");
  const double area = vision::average_precision(outliers, inliers);
  CHECK(area == doctest::Approx(numbers("detection.average_precision")[0]).epsilon(1e-12));
  // Recall gained at each threshold times the precision there.
  std::set<double, std::greater<>> thresholds(outliers.begin(), outliers.end());
  double sum = 0, recall_before = 0;
  for (const double threshold : thresholds) {
    const auto at_least = [&](const std::vector<double>& scores) {
      return static_cast<double>(std::count_if(scores.begin(), scores.end(), [&](double s) { return s >= threshold; }));
    };
    const double found = at_least(outliers), recall = found / static_cast<double>(outliers.size());
    sum += (recall - recall_before) * found / (found + at_least(inliers));
    recall_before = recall;
  }
  CHECK(area == doctest::Approx(sum).epsilon(1e-12));
  CHECK(vision::average_precision({3, 2}, {1, 0}) == 1);
  CHECK(vision::average_precision({1, 1}, {1, 1}) == .5);
}

TEST_CASE("FGSM and PGD move a logistic regression's inputs as the Adversarial Robustness Toolbox does") {
  Values<double> weight({3, 12}, 1), bias({3}, 1);
  weight.values = numbers("attack.weight");
  bias.values = numbers("attack.bias");
  std::vector<int> labels;
  for (const auto label : fixture().values<std::int64_t>("attack.y")) labels.push_back(static_cast<int>(label));
  Cpu<double> cpu;
  const auto gradient = [&](const std::vector<double>& x) {
    Recording ex(cpu, Mode::evaluate);
    const Tensor<double> inputs = ex.tensor({60, 12}, true);
    cpu.write(View<double>(inputs), x.data());
    ex.backward(cross_entropy(ex, linear(ex, inputs, weight.constant(), bias.constant()), {labels.data(), {60}}));
    return std::vector<double>(inputs.gradient, inputs.gradient + x.size());
  };
  const auto x = numbers("attack.x");
  for (const auto& each :
       {std::pair{"attack.fgsm", vision::Attack::fgsm(.1)}, {"attack.pgd", vision::Attack::pgd(.1)}}) {
    INFO(each.first);
    const auto ours = vision::attacked(x, each.second, gradient), theirs = numbers(each.first);
    CHECK(distance(ours.data(), theirs.data(), static_cast<Index>(x.size())) < 1e-6);
    CHECK(ours != x);
  }
}
