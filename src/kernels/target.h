// Brackets a file's functions with an instruction set: QUERN_TARGET_BEGIN("avx2,fma,f16c") … QUERN_TARGET_END. Flags for the whole file
// would let the linker keep a wide copy of a shared inline function; this touches only what stands between the brackets.
#pragma once

#define QUERN_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define QUERN_TARGET_BEGIN(features) QUERN_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define QUERN_TARGET_END QUERN_PRAGMA(clang attribute pop)
#else
#define QUERN_TARGET_BEGIN(features) QUERN_PRAGMA(GCC push_options) QUERN_PRAGMA(GCC target(features))
#define QUERN_TARGET_END QUERN_PRAGMA(GCC pop_options)
#endif
