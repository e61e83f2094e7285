#include "server/http/status.h"

#include <gtest/gtest.h>

namespace quern {
namespace {

TEST(HttpStatus, ARequestsFaultIsNeverTheServers) {
  EXPECT_EQ(http_status(Errc::malformed), 400);
  EXPECT_EQ(http_status(Errc::not_found), 404);
  EXPECT_EQ(http_status(Errc::busy), 429);
  EXPECT_EQ(http_status(Errc::io), 500);
  for (const int status : {400, 403, 404, 429, 500}) EXPECT_NE(status_text(status), "Unknown") << status;
}

}  // namespace
}  // namespace quern
