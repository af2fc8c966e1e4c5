/*
 * The promises of deepstream_connector.hpp about coroutines, in C++20, one scenario for each run; see
 * scenarios.hpp. tests/c_lifecycle.rs has the table.
 */

#include "scenarios.hpp"

#include <atomic>
#include <cstdint>
#include <exception>
#include <optional>

#ifndef __cpp_impl_coroutine
#error "this compiler has no coroutines"
#endif
#include <coroutine>

using namespace deepstream;
using namespace scenarios;
using namespace std::chrono_literals;

namespace {

/// Nothing answers there.
const char *UNREACHABLE = R"({"type": "redis", "host": "127.0.0.1", "port": 1})";

std::atomic<int> frames{0}; // coroutines that live

/// A coroutine that starts at once, and that nobody waits for.
struct Task {
    struct promise_type {
        promise_type() { ++frames; }
        ~promise_type() { --frames; }
        Task get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        [[noreturn]] void unhandled_exception() { throw; }
    };

    std::coroutine_handle<> coroutine;
};

void no_frame_is_left()
{
    for (int round = 0; frames != 0; ++round, std::this_thread::sleep_for(1ms))
        REQUIRE(round < 120'000);
}

Task use_all(Connector &connector, std::atomic<bool> &done)
{
    co_await connector.set("k", 7, "[1]");
    const std::optional<Record> record = co_await connector.get("k");
    REQUIRE(record && record->version == 7 && record->data == "[1]");
    REQUIRE(co_await connector.head("k") == 7);
    co_await connector.remove("k");
    REQUIRE(!co_await connector.get("k"));
    auto stored = connector.set_many({{"a", 1, "1"}, {"b", 2, "2"}});
    for (const auto &result : co_await std::move(stored))
        REQUIRE(result);
    const std::vector<std::string> keys = {"a", "none"};
    const auto versions = co_await connector.head_many(keys);
    REQUIRE(versions[0].value() == 1 && !versions[1].value());

    // What was submitted first and awaited later.
    auto first = connector.get("a");
    auto second = connector.set("a", 3, "3");
    co_await std::move(second);
    REQUIRE((co_await std::move(first))->version == 1);
    co_await connector.close();
    done = true;
}

void answers_are_awaited()
{
    auto connector = create();
    std::atomic<bool> done{false};
    use_all(connector, done);
    wait_until(connector, [&] { return done.load(); });
    no_frame_is_left();
}

Task meet_errors(Connector &connector, std::atomic<int> &met)
{
    try {
        co_await connector.get("k", 20ms);
    } catch (const Error &error) {
        met += error.code() == ErrorCode::timeout && error.retryable();
    }
    try {
        co_await connector.get("");
    } catch (const Error &error) {
        met += error.code() == ErrorCode::invalid_argument;
    }
    try {
        co_await connector.scan(std::nullopt, 1, 20ms);
    } catch (const Error &) {
        ++met;
    }
}

void errors_are_thrown_where_they_are_awaited()
{
    auto connector = create(UNREACHABLE);
    std::atomic<int> met{0};
    meet_errors(connector, met);
    wait_until(connector, [&] { return met == 3; });
    no_frame_is_left();
}

Task await_often(Connector &connector, std::atomic<int> &rounds)
{
    for (int round = 0; round < 5000; ++round) {
        auto future = connector.head("k");
        if (round % 2 == 0 && !polled)
            future.wait_for(1ms); // it is often there before it is awaited
        co_await std::move(future);
        ++rounds;
    }
}

/// Its first waits are on this thread, the others where callbacks run; none may be lost in between.
void no_answer_is_missed()
{
    auto connector = create();
    std::atomic<int> rounds{0};
    await_often(connector, rounds);
    wait_until(connector, [&] { return rounds == 5000; });
    no_frame_is_left();

    // One that comes while the coroutine is about to be suspended.
    auto awaiter = operator co_await(connector.head("k"));
    wait_until(connector, [&] { return awaiter.await_ready(); });
    REQUIRE(!awaiter.await_suspend(std::noop_coroutine()));
    REQUIRE(!awaiter.await_resume());
}

Task wait_for_closed(Connector &connector, std::atomic<int> &closed)
{
    try {
        co_await connector.get("k");
    } catch (const Error &error) {
        closed += error.code() == ErrorCode::closed;
    }
}

void the_destructor_resumes_who_waits()
{
    std::atomic<int> closed{0};
    {
        auto connector = create(UNREACHABLE);
        for (int task = 0; task < 10; ++task)
            wait_for_closed(connector, closed);
        REQUIRE(closed == 0 && frames == 10);
    }
    REQUIRE(closed == 10 && frames == 0);
}

void a_coroutine_may_be_destroyed_while_it_waits()
{
    std::atomic<int> closed{0};
    {
        auto connector = create(UNREACHABLE);
        const Task task = wait_for_closed(connector, closed);
        wait_for_closed(connector, closed);
        REQUIRE(frames == 2);
        task.coroutine.destroy();
        REQUIRE(frames == 1);
    }
    REQUIRE(closed == 1 && frames == 0);
}

Task destroy_in_coroutine(std::optional<Connector> &connector, std::shared_future<void> submitted,
                          std::atomic<bool> &done)
{
    co_await connector->set("k", 1, "1");
    submitted.wait();
    auto late = connector->get("k");
    connector.reset();
    try {
        co_await std::move(late);
    } catch (const Error &error) {
        REQUIRE(error.code() == ErrorCode::closed);
    }
    done = true;
}

void a_coroutine_may_destroy_the_connector()
{
    std::optional<Connector> connector;
    auto &it = connector.emplace(create());
    std::promise<void> submitted;
    std::atomic<bool> done{false};
    destroy_in_coroutine(connector, submitted.get_future().share(), done);
    submitted.set_value();
    wait_until(it, [&] { return done.load(); });
    no_frame_is_left();
}

Task throw_after(Connector &connector)
{
    co_await connector.set("k", 1, "1");
    throw 7;
}

void exceptions_of_coroutines_go_to_the_handler()
{
    std::atomic<int> thrown{0};
    Events events;
    events.exception = [&](std::exception_ptr exception) {
        try {
            std::rethrow_exception(exception);
        } catch (int number) {
            thrown = number;
        }
    };
    auto connector = create(MEMORY, std::move(events));
    // No answer comes before it is awaited.
    std::promise<void> awaited;
    connector.get("k", [is_awaited = awaited.get_future()](auto) { is_awaited.wait(); });
    const Task task = throw_after(connector);
    awaited.set_value();
    wait_until(connector, [&] { return thrown == 7; });
    REQUIRE(frames == 1);
    task.coroutine.destroy(); // an exception leaves it at its end
}

} // namespace

int main(int count, char **arguments)
{
    return run(count, arguments,
               {
                   {"answers_are_awaited", answers_are_awaited},
                   {"errors_are_thrown_where_they_are_awaited", errors_are_thrown_where_they_are_awaited},
                   {"no_answer_is_missed", no_answer_is_missed},
                   {"the_destructor_resumes_who_waits", the_destructor_resumes_who_waits},
                   {"a_coroutine_may_be_destroyed_while_it_waits", a_coroutine_may_be_destroyed_while_it_waits},
                   {"a_coroutine_may_destroy_the_connector", a_coroutine_may_destroy_the_connector},
                   {"exceptions_of_coroutines_go_to_the_handler", exceptions_of_coroutines_go_to_the_handler},
               });
}
