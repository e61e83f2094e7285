// Survival curves as a picture: one SVG document that needs nothing from elsewhere and is readable on a light and on a dark page.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "eval/survival.h"

namespace quern {

// The share of episodes over n, a solid line where all of the first n calls were right and a dashed one where none was malformed, in one
// colour a curve. The solid line's last step is the answer. The same curves give the same bytes. At least one curve.
std::string survival_svg(std::string_view title, std::span<const NamedCurve> curves);

}  // namespace quern
