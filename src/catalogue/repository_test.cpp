#include "catalogue/repository.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace quern {
namespace {

using testing::HasSubstr;

TEST(NextLink, IsTheOneThatIsCalledSo) {
  EXPECT_EQ(next_link(R"(<https://h/a?cursor=x,y&limit=2>; rel="next")"), "https://h/a?cursor=x,y&limit=2");
  EXPECT_EQ(next_link(R"(<https://h/a>; rel="prev", <https://h/b>; title="z"; rel="next", <https://h/c>; rel="last")"),
            "https://h/b");
  EXPECT_EQ(next_link(R"(<https://h/a>; rel="prev")"), std::nullopt);
  EXPECT_EQ(next_link("<<>;>"), std::nullopt);
  EXPECT_EQ(next_link(""), std::nullopt);
}

TEST(RateLimit, SaysHowLongToWait) {
  HttpResponse response{.status = 429};
  EXPECT_EQ(retry_after_s(response), 0);
  response.headers = {{"Retry-After", "17"}};
  EXPECT_EQ(retry_after_s(response), 17);
  response.headers = {{"Retry-After", "86400"}};
  EXPECT_EQ(retry_after_s(response), 330) << "nobody waits for a day";
  response.headers = {{"Retry-After", "-3"}};
  EXPECT_EQ(retry_after_s(response), 0);
  response.headers = {
      {"Retry-After", "9"}, {"RateLimit", R"("api";r=0;t=55)"}, {"RateLimit-Policy", R"("fixed window";"api";q=500;w=300)"}};
  EXPECT_EQ(retry_after_s(response), 56);
  EXPECT_THAT(status_error(response, "org/model", false).message, testing::AllOf(HasSubstr("(api)"), HasSubstr("55 s")));
  response.headers = {{"Retry-After", "9"}, {"RateLimit", R"("api";r=20;t=55)"}};
  EXPECT_EQ(retry_after_s(response), 9) << "that limit is not why";
  response.headers = {{"RateLimit", "\"api"}};
  EXPECT_EQ(retry_after_s(response), 0);
  response = {.status = 503, .headers = {{"RateLimit", R"("api";r=0;t=55)"}}};
  EXPECT_EQ(retry_after_s(response), 0);
}

}  // namespace
}  // namespace quern
