// That documents, alerts and the dashboard speak of the metrics that there are, and the document of all of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <string>

#include "base/text_file.h"
#include "launcher/sample_status.h"
#include "launcher/supervisor/metrics_text.h"

namespace athanor {
namespace {

const std::filesystem::path kSource = ATHANOR_SOURCE_DIR;

std::set<std::string> matches(const std::string& text, const std::string& pattern) {
  const std::regex wanted(pattern);
  std::set<std::string> found;
  for (std::sregex_iterator match(text.begin(), text.end(), wanted), end; match != end; ++match) {
    found.insert((*match)[1]);
  }
  return found;
}

/// Of a job that has something in every field.
std::set<std::string> metrics_told() {
  JobStatus status = launcher_test::sample_status();
  status.exit_code = 0;
  CounterMemory memory;
  return matches(metrics_text(status, memory, 1.8e9), "# TYPE (\\w+)");
}

std::set<std::string> metrics_named_in(const std::string& file) {
  const std::string text = read_text(kSource / file);
  EXPECT_FALSE(text.empty()) << file;
  return matches(text, "\\b(athanor_[a-z_]+)\\b");
}

TEST(MonitoringFiles, TheDocumentNamesEveryMetricAndNoOther) {
  EXPECT_EQ(metrics_named_in("docs/monitoring.md"), metrics_told());
}

TEST(MonitoringFiles, AlertsAndDashboardAskForMetricsThatThereAre) {
  const std::set<std::string> told = metrics_told();
  for (const char* file :
       {"cluster/monitoring/alerts.yml", "cluster/monitoring/alerts_test.yml", "cluster/monitoring/grafana.json"}) {
    for (const std::string& name : metrics_named_in(file)) EXPECT_TRUE(told.count(name)) << file << ": " << name;
  }
}

TEST(MonitoringFiles, TheDashboardShowsMostOfThem) {
  EXPECT_GT(metrics_named_in("cluster/monitoring/grafana.json").size(), 20);
  const nlohmann::json dashboard = nlohmann::json::parse(read_text(kSource / "cluster/monitoring/grafana.json"));
  std::set<int> ids;
  for (const auto& panel : dashboard.at("panels")) {
    EXPECT_TRUE(ids.insert(panel.at("id").get<int>()).second);
    EXPECT_FALSE(panel.at("targets").empty()) << panel.at("title");
    EXPECT_LE(panel.at("gridPos").at("x").get<int>() + panel.at("gridPos").at("w").get<int>(), 24);
  }
}

}  // namespace
}  // namespace athanor
