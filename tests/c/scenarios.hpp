/*
 * What the programs that test the C++ header share: scenarios by name, one for each run, and how a
 * host of either mode waits.
 *
 *     PROGRAM <scenario> <callback|poll>
 */

#ifndef SCENARIOS_HPP
#define SCENARIOS_HPP

#include <deepstream_connector.hpp>

#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#define REQUIRE(condition)                                                                      \
    do {                                                                                        \
        if (!(condition)) {                                                                     \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);        \
            _exit(1);                                                                           \
        }                                                                                       \
    } while (0)

namespace scenarios {

using deepstream::Connector;

inline constexpr const char *MEMORY = R"({"type": "memory"})";
/// A fault alone needs so long.
inline constexpr std::chrono::seconds PATIENCE{120};

inline bool polled = false;

inline Connector create(const char *config = MEMORY, deepstream::Events events = {})
{
    return polled ? Connector::polled(config, std::move(events)) : Connector(config, std::move(events));
}

/// Waits as a host does; a polled connector is only ever dispatched when its descriptor says so. The
/// connector may be gone when it is so.
template <class Condition> void wait_until(Connector &connector, Condition is_so)
{
    const auto limit = std::chrono::steady_clock::now() + PATIENCE;
    pollfd watched{polled ? connector.fd() : -1, POLLIN, 0};
    while (!is_so()) {
        REQUIRE(std::chrono::steady_clock::now() < limit);
        if (!polled)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        else if (poll(&watched, 1, 1000) > 0)
            connector.dispatch();
    }
}

template <class T> bool is_ready(const std::future<T> &future)
{
    return future.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

/// What a future has, or throws.
template <class T> T answer(Connector &connector, std::future<T> future)
{
    wait_until(connector, [&] { return is_ready(future); });
    return future.get();
}

/// The error that something throws.
template <class Work> deepstream::Error error_of(Work &&work)
{
    try {
        work();
    } catch (const deepstream::Error &error) {
        REQUIRE(*error.what() != 0);
        return error;
    }
    REQUIRE(false && "it throws");
    std::terminate();
}

using Scenario = std::pair<const char *, void (*)()>;

/// The main function: `list` names the scenarios.
inline int run(int count, char **arguments, const std::vector<Scenario> &all)
{
    if (count == 2 && std::strcmp(arguments[1], "list") == 0) {
        for (const auto &[name, work] : all)
            std::puts(name);
        return 0;
    }
    REQUIRE(count == 3);
    polled = std::strcmp(arguments[2], "poll") == 0;
    for (const auto &[name, work] : all) {
        if (std::strcmp(arguments[1], name) == 0) {
            work();
            return 0;
        }
    }
    REQUIRE(false && "there is such a scenario");
    return 1;
}

} // namespace scenarios

#endif
