// 2^r for |r| <= 1/2, by a polynomial of degree 5: Remez (relative error 7.5e-8), its last term rounded to 1.
#pragma once

namespace quern {

inline constexpr float kExp2First = 0x1.5c08ep-10f;  // of r^5
inline constexpr float kExp2Others[] = {0x1.3d0c52p-7f, 0x1.c6b6e6p-5f, 0x1.ebf918p-3f, 0x1.62e428p-1f, 1.0f};

}  // namespace quern
