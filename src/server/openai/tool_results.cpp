#include "server/openai/tool_results.h"

#include <algorithm>

namespace quern {

void order_tool_results(std::vector<IdentifiedMessage>& messages) {
  for (size_t i = 0; i < messages.size(); ++i) {
    const std::vector<std::string> ids = messages[i].call_ids;
    size_t end = i + 1;
    while (end < messages.size() && messages[end].message.role == Role::tool) ++end;
    if (ids.empty()) continue;
    std::vector<std::pair<std::ptrdiff_t, size_t>> order;  // place among the calls, and where it stands now
    for (size_t at = i + 1; at < end; ++at)
      order.emplace_back(std::find(ids.begin(), ids.end(), messages[at].result_id) - ids.begin(), at);
    std::sort(order.begin(), order.end());
    std::vector<IdentifiedMessage> sorted;
    for (const auto& [place, at] : order) sorted.push_back(std::move(messages[at]));
    std::move(sorted.begin(), sorted.end(), messages.begin() + static_cast<std::ptrdiff_t>(i) + 1);
  }
}

}  // namespace quern
