// World: a mocked, stateful service behind an episode's tools. A value: an episode keeps the world as it was before the first call, so
// that a model's own calls can be carried out from there and the final states compared.
#pragma once

#include <memory>
#include <string>

#include "text/conversation.h"

namespace quern {

class World {
 public:
  virtual ~World() = default;
  virtual std::string execute(const ToolCall& call) = 0;  // the result's text, errors included; any call is answered
  virtual std::unique_ptr<World> clone() const = 0;
  virtual std::string state() const = 0;  // equal texts: equal states
};

}  // namespace quern
