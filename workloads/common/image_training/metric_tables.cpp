#include "workloads/common/image_training/metric_tables.hpp"

#include <cstdio>
#include <limits>
#include <numeric>

#include "core/error.hpp"
#include "workloads/common/metric_columns.hpp"

namespace muster::workloads {
std::vector<MetricTable> image_metric_tables(const std::string& tested_on) {
  const MetricColumn epoch = whole_column("epoch", "1", "counts from 1");
  const MetricColumn busy =
      real_column("exchange_busy_seconds", "s", "rank 0 inside collectives, on whichever thread");
  const MetricColumn exposed = real_column("exchange_exposed_seconds", "s",
                                           "rank 0 waiting for gradients that no computation overlapped");
  const MetricColumn payload = whole_column("payload_bytes", "B", "given to collectives by rank 0");
  const MetricColumn sent = whole_column(
      "bytes_sent", "B", "by rank 0; 0 where exchange.algorithm is library, which does not tell");
  const MetricColumn received = whole_column("bytes_received", "B", "by rank 0, likewise");
  const MetricColumn lr = real_column("lr", "1", "learning rate of the newest step");
  return {
      {"epoch",
       {epoch,
        real_column("train_loss", "1", "mean over the epoch's steps and all ranks, with label smoothing"),
        real_column((tested_on + "_loss").c_str(), "1",
                    "mean cross entropy; NaN where the epoch was not tested"),
        real_column((tested_on + "_accuracy").c_str(), "1",
                    "share of right answers; NaN where the epoch was not tested"),
        real_column("images_per_second", "images/s", "of all ranks, training alone"), lr,
        real_column("seconds", "s", "training alone"),
        real_column((tested_on + "_seconds").c_str(), "s", "testing"),
        real_column("bookkeeping_seconds", "s", "of seconds: metrics, and agreeing on saving and stopping"),
        busy, exposed, payload, sent, received}},
      {"step",
       {whole_column("step", "1", "optimiser steps done"), epoch,
        real_column("loss", "1", "mean over all ranks"), lr,
        real_column("seconds", "s", "from the batch to the updated weights"), busy, exposed, payload, sent,
        received}},
      {"class",
       {epoch, whole_column("class", "1", "index"),
        whole_column("images", "1", "tested images of this class"),
        real_column("accuracy", "1", "share of them that was recognised")}},
      {"confusion",
       {epoch, whole_column("label", "1", "index"), whole_column("predicted", "1", "index"),
        whole_column("count", "1", "tested images")}},
  };
}

std::string to_text(const EpochSums& sums) {
  char text[256];
  std::snprintf(text, sizeof text, "%a %lld %a %a %a %a %lld %lld %lld", sums.loss,
                static_cast<long long>(sums.steps), sums.seconds, sums.exchange_busy, sums.exchange_exposed,
                sums.bookkeeping, static_cast<long long>(sums.payload_bytes),
                static_cast<long long>(sums.bytes_sent), static_cast<long long>(sums.bytes_received));
  return text;
}

EpochSums epoch_sums_from(const std::string& text) {
  EpochSums sums;
  long long steps = 0;
  long long payload = 0;
  long long sent = 0;
  long long received = 0;
  if (std::sscanf(text.c_str(), "%la %lld %la %la %la %la %lld %lld %lld", &sums.loss, &steps, &sums.seconds,
                  &sums.exchange_busy, &sums.exchange_exposed, &sums.bookkeeping, &payload, &sent,
                  &received) != 9) {
    throw Error(ExitCode::checkpoint, "the checkpoint's epoch sums cannot be read",
                "remove the checkpoints that another version wrote, and start again");
  }
  sums.steps = steps;
  sums.payload_bytes = payload;
  sums.bytes_sent = sent;
  sums.bytes_received = received;
  return sums;
}

EpochSums& operator+=(EpochSums& sums, const StepFigures& step) {
  sums.loss += step.loss;
  sums.steps += 1;
  sums.seconds += step.seconds;
  sums.exchange_busy += step.exchange_busy;
  sums.exchange_exposed += step.exchange_exposed;
  sums.payload_bytes += step.payload_bytes;
  sums.bytes_sent += step.bytes_sent;
  sums.bytes_received += step.bytes_received;
  return sums;
}

void append_step(Metrics& metrics, std::int64_t step, std::int64_t epoch, const StepFigures& figures) {
  metrics.append(
      "step", {step, epoch, figures.loss, figures.lr, figures.seconds, figures.exchange_busy,
               figures.exchange_exposed, figures.payload_bytes, figures.bytes_sent, figures.bytes_received});
}

void append_epoch(Metrics& metrics, std::int64_t epoch, double lr, std::int64_t images, const EpochSums& sums,
                  const TestFigures* test) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  metrics.append("epoch",
                 {epoch, sums.loss / static_cast<double>(sums.steps), test ? test->result.loss : kNone,
                  test ? test->result.accuracy() : kNone, static_cast<double>(images) / sums.seconds, lr,
                  sums.seconds, test ? test->seconds : 0.0, sums.bookkeeping, sums.exchange_busy,
                  sums.exchange_exposed, sums.payload_bytes, sums.bytes_sent, sums.bytes_received});
  if (!test) return;
  const std::int64_t classes = test->result.classes();
  const std::vector<double> accuracy = test->result.class_accuracy();
  for (std::int64_t c = 0; c < classes; ++c) {
    const auto row = test->result.confusion.begin() + c * classes;
    metrics.append("class", {epoch, c, std::accumulate(row, row + classes, std::int64_t{0}), accuracy[c]});
  }
}

void append_confusion(Metrics& metrics, std::int64_t epoch, const Evaluation& test) {
  const std::int64_t classes = test.classes();
  for (std::int64_t label = 0; label < classes; ++label) {
    for (std::int64_t predicted = 0; predicted < classes; ++predicted) {
      metrics.append("confusion", {epoch, label, predicted, test.confusion[label * classes + predicted]});
    }
  }
}

}  // namespace muster::workloads
