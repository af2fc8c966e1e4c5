/*
 * The promises of deepstream_connector.hpp in C++17, one scenario for each run; see scenarios.hpp.
 * tests/c_lifecycle.rs has the table.
 */

#include "scenarios.hpp"

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>

using namespace deepstream;
using namespace scenarios;
using namespace std::chrono_literals;

namespace {

/// Nothing answers there.
const char *UNREACHABLE = R"({"type": "redis", "host": "127.0.0.1", "port": 1})";

/// A database in a folder of its own.
struct Database {
    std::string folder;
    std::string config;

    Database()
    {
        char name[] = "/tmp/wrapper-XXXXXX";
        REQUIRE(mkdtemp(name) != nullptr);
        folder = name;
        config = R"({"type": "sqlite", "path": ")" + folder + R"(/records.db"})";
    }

    ~Database()
    {
        for (const char *name : {"/records.db", "/records.db-wal", "/records.db-shm"})
            unlink((folder + name).c_str());
        rmdir(folder.c_str());
    }
};

std::atomic<int> alive{0};  // callables
std::atomic<int> called{0}; // how often one was

/// A callable that cannot be copied, and is counted.
class Counted {
public:
    explicit Counted(std::function<void()> then = {}) : then_(std::move(then)) { ++alive; }
    Counted(Counted &&other) noexcept : then_(std::move(other.then_)) { ++alive; }
    Counted(const Counted &) = delete;
    Counted &operator=(const Counted &) = delete;
    ~Counted() { --alive; }

    template <class Answer> void operator()(Answer)
    {
        if (then_)
            then_();
        ++called;
    }

private:
    std::function<void()> then_;
};

constexpr int KINDS = 10;

/// One call of each kind.
void submit_all_kinds(Connector &connector)
{
    connector.set("a", 1, "1", Counted());
    connector.get("a", Counted());
    connector.head("a", Counted());
    connector.remove("a", Counted());
    connector.set_many({{"a", 7, "[]"}, {"b", 8, "{}"}}, Counted());
    connector.get_many({"a", "b"}, Counted());
    connector.head_many({"a", "b"}, Counted());
    connector.remove_many({"a", "b"}, Counted());
    connector.scan(std::nullopt, 10, Counted());
    connector.command("none", "{}", Counted());
}

void documents_round_trip_in(const std::string &config)
{
    const std::string deep = std::string(100, '[') + std::string(100, ']');
    const std::vector<std::string> documents = {
        "null", "0", "\"\"", "{}", "[]", deep, R"({"a": 1, "a": 2})", R"("\u0000\ud83d\ude00")", "\"\xF0\x9F\x98\x80\"",
        "123456789012345678901234567890.5e-7", "\"" + std::string(1 << 20, 'x') + "\"",
        R"({"_v": 9, "_d": {"__ds": "'\"; DROP TABLE records; --"}})",
    };
    const std::vector<std::string> keys = {"k", " ", "a/b", "'\"; --", "\xC3\xA4", std::string("nul\0nul", 7), "%s%n"};
    const std::vector<std::int64_t> versions = {0, -1, std::numeric_limits<std::int64_t>::max(),
                                                std::numeric_limits<std::int64_t>::min()};
    auto connector = create(config.c_str());
    std::size_t turn = 0;
    for (const auto &key : keys) {
        for (const auto &document : documents) {
            const std::int64_t version = versions[turn++ % versions.size()];
            answer(connector, connector.set(key, version, document));
            const auto record = answer(connector, connector.get(key));
            REQUIRE(record && record->version == version && record->data == document);
            REQUIRE(answer(connector, connector.head(key)) == version);
        }
    }
}

void documents_round_trip()
{
    const Database database;
    documents_round_trip_in(MEMORY);
    documents_round_trip_in(database.config);
}

void operations_on_a_key_keep_their_order()
{
    const Database database;
    for (const char *config : {MEMORY, database.config.c_str()}) {
        auto connector = create(config);
        std::vector<Future<std::optional<Record>>> answers;
        for (int version = 0; version < 200; ++version) {
            connector.set("k", version, std::to_string(version), nullptr);
            answers.push_back(connector.get("k"));
        }
        for (int version = 0; version < 200; ++version) {
            const auto record = answer(connector, std::move(answers[static_cast<std::size_t>(version)]));
            REQUIRE(record && record->version == version && record->data == std::to_string(version));
        }
    }
}

void every_operation_answers()
{
    const Database database;
    auto connector = create(database.config.c_str());
    REQUIRE(!answer(connector, connector.get("a")));
    REQUIRE(!answer(connector, connector.head("a")));
    answer(connector, connector.remove("a"));

    const std::vector<NamedRecord> records = {{"a", 1, "1"}, {"b", 2, "[2]"}, {"c", 3, "{}"}};
    for (const auto &result : answer(connector, connector.set_many(records)))
        REQUIRE(result);
    const std::vector<std::string> keys = {"a", "none", "c"};
    const auto read = answer(connector, connector.get_many(keys));
    REQUIRE(read.size() == 3 && read[0].value()->data == "1" && !read[1].value() && (*read[2])->version == 3);
    const auto versions = answer(connector, connector.head_many({"b", "none"}));
    REQUIRE(versions.size() == 2 && versions[0].value() == 2 && !versions[1].value());
    REQUIRE(answer(connector, connector.get_many({})).empty());

    std::vector<std::string> listed;
    std::optional<std::string> cursor;
    do {
        auto page = answer(connector, connector.scan(cursor, 2));
        for (const auto &record : page.records)
            listed.push_back(record.key + record.data);
        cursor = std::move(page.cursor);
    } while (cursor);
    REQUIRE(listed == std::vector<std::string>({"a1", "b[2]", "c{}"}));

    REQUIRE(answer(connector, connector.remove_many({"a", "b", "c"})).size() == 3);
    REQUIRE(!answer(connector, connector.get("a")));
    auto unknown = connector.command("none", "{}");
    REQUIRE(error_of([&] { answer(connector, std::move(unknown)); }).code() == ErrorCode::unsupported);
    REQUIRE(connector.is_ready());
    REQUIRE(connector.stats().find("\"inFlight\"") != std::string::npos);
}

void callbacks_are_called_once()
{
    {
        auto connector = create();
        for (int round = 0; round < 20; ++round)
            submit_all_kinds(connector);
        wait_until(connector, [] { return called == 20 * KINDS; });
        wait_until(connector, [] { return alive == 0; });
        connector.close(Counted());
        wait_until(connector, [] { return called == 20 * KINDS + 1; });
    }
    REQUIRE(called == 20 * KINDS + 1 && alive == 0);
}

void a_refused_call_destroys_its_callable()
{
    auto connector = create(R"({"type": "memory", "maxInFlight": 1})");
    const auto refused = [](auto &&call) {
        const Error error = error_of(call);
        REQUIRE(alive == 0 && called == 0 && error.applied() == Applied::no);
        return error;
    };
    const auto invalid = ErrorCode::invalid_argument;
    REQUIRE(refused([&] { connector.get("", Counted()); }).code() == invalid);
    REQUIRE(refused([&] { connector.get({}, Counted()); }).code() == invalid);
    REQUIRE(refused([&] { connector.set("k", 1, "{", Counted()); }).code() == invalid);
    REQUIRE(refused([&] { connector.head("\xFF", Counted()); }).code() == invalid);
    REQUIRE(refused([&] { connector.remove(std::string(65537, 'k'), Counted()); }).code() == invalid);
    REQUIRE(refused([&] { connector.get_many({"a", ""}, Counted()); }).code() == invalid);
    REQUIRE(refused([&] { connector.scan({}, 0, Counted()); }).code() == invalid);
    REQUIRE(refused([&] { connector.command("none", "{", Counted()); }).code() == invalid);
    for (const std::chrono::milliseconds timeout : {0ms, -1ms, 4294967296ms})
        REQUIRE(refused([&] { connector.get("k", Counted(), timeout); }).code() == invalid);
    REQUIRE(refused([&] { (void)connector.get("k", -1ms); }).code() == invalid);

    const Error busy = refused([&] {
        auto unreachable = create(R"({"type": "redis", "host": "127.0.0.1", "port": 1, "maxInFlight": 1})");
        unreachable.set("k", 1, "1", nullptr);
        unreachable.get("k", Counted());
    });
    REQUIRE(busy.code() == ErrorCode::busy && busy.retryable() && std::strcmp(busy.name(), "BUSY") == 0);

    answer(connector, connector.close());
    const Error closed = refused([&] { connector.get("k", Counted()); });
    REQUIRE(closed.code() == ErrorCode::closed && !closed.retryable());
    REQUIRE(refused([&] { connector.close(Counted()); }).code() == ErrorCode::closed);
}

void wrong_configurations_are_refused()
{
    const Error error = error_of([] { create(R"({"type": "memry"})"); });
    REQUIRE(error.code() == ErrorCode::configuration && !error.retryable());
    REQUIRE(std::strstr(error.what(), "did you mean") != nullptr);
    REQUIRE(error_of([] { create(""); }).code() == ErrorCode::configuration);
}

void the_destructor_answers_what_is_pending()
{
    std::future<std::optional<Record>> read;
    std::atomic<int> refused{0};
    {
        auto connector = create(UNREACHABLE);
        submit_all_kinds(connector);
        read = connector.get("k");
        connector.get("k", [&](auto) {
            refused += error_of([&] { connector.get("k", Counted()); }).code() == ErrorCode::closed;
        });
    }
    REQUIRE(called == KINDS && alive == 0 && refused == 1);
    const Error error = error_of([&] { read.get(); });
    REQUIRE(error.code() == ErrorCode::closed && error.applied() == Applied::no);
}

/// The last callable ends a little after it was called.
void wait_until_no_callable_lives()
{
    for (int round = 0; alive != 0; ++round, std::this_thread::sleep_for(1ms))
        REQUIRE(round < 120'000);
}

/// A connector that is destroyed inside a callback has threads that end by themselves.
void wait_until_nobody_else_runs()
{
    wait_until_no_callable_lives();
    const auto threads = [] {
        const std::filesystem::directory_iterator tasks("/proc/self/task");
        return std::distance(begin(tasks), end(tasks));
    };
    for (int round = 0; threads() > 1; ++round, std::this_thread::sleep_for(1ms))
        REQUIRE(round < 120'000);
}

/// Destroys its connector inside a callback, once no other thread is inside of a call.
class Destroyer {
public:
    Connector &open(Events events = {})
    {
        return *(address_ = &connector_.emplace(create(MEMORY, std::move(events))));
    }

    /// For the callback: an operation of each kind is pending.
    void operator()()
    {
        is_free_.wait();
        if (!connector_)
            return;
        submit_all_kinds(*connector_);
        const int before = called;
        connector_.reset();
        REQUIRE(called == before + KINDS);
        done_ = true;
    }

    void wait()
    {
        free_.set_value();
        wait_until(*address_, [&] { return done_.load(); });
        wait_until_no_callable_lives();
    }

private:
    std::optional<Connector> connector_;
    Connector *address_ = nullptr;
    std::promise<void> free_;
    std::shared_future<void> is_free_{free_.get_future()};
    std::atomic<bool> done_{false};
};

void a_callback_may_destroy_the_connector()
{
    const std::string document = '"' + std::string(1000, 'x') + '"';
    for (int round = 0; round < 3; ++round) {
        Destroyer destroy;
        auto &connector = destroy.open();
        connector.set("k", 5, document, nullptr);
        if (round == 0)
            connector.get("k", [&, tracked = Counted()](Result<std::optional<Record>> record) {
                destroy();
                REQUIRE(record.value()->data == document);
            });
        else if (round == 1)
            connector.get_many({"k"}, [&, tracked = Counted()](std::vector<Result<std::optional<Record>>> all) {
                destroy();
                REQUIRE(all[0].value()->version == 5);
            });
        else
            connector.remove("k", Counted([&] { destroy(); }));
        destroy.wait();
    }
}

void an_event_may_destroy_the_connector()
{
    for (int round = 0; round < 2; ++round) {
        Destroyer destroy;
        Events events;
        if (round == 0)
            events.ready = [&destroy, kept = std::string(100, 'x')] {
                destroy();
                REQUIRE(kept == std::string(100, 'x'));
            };
        else
            events.log = [&destroy](LogLevel, std::string_view text) {
                const std::string before(text);
                destroy();
                REQUIRE(text == before);
            };
        destroy.open(std::move(events));
        destroy.wait();
    }
}

void a_callable_may_own_the_connector()
{
    auto owned = std::make_unique<Connector>(create());
    auto &connector = *owned;
    std::promise<void> submitted;
    std::atomic<bool> ran{false};
    connector.close([&, submission = submitted.get_future(), owned = std::move(owned),
                     tracked = Counted()](Result<void> result) {
        submission.wait();
        ran = result.has_value();
    });
    submitted.set_value();
    wait_until(connector, [&] { return ran.load(); });
    wait_until_nobody_else_runs();
}

void futures_have_values_and_errors()
{
    auto connector = create(UNREACHABLE);
    std::future<void> late = connector.set("k", 1, "1", 20ms);
    const Error error = error_of([&] { answer(connector, std::move(late)); });
    REQUIRE(error.code() == ErrorCode::timeout && error.retryable() && error.applied() == Applied::no);
    const auto results = answer(connector, connector.get_many({"a", "b"}, 20ms));
    REQUIRE(results.size() == 2 && results[1].error().code() == ErrorCode::timeout);
    REQUIRE(error_of([&] { (void)results[0].value(); }).code() == ErrorCode::timeout);
    REQUIRE(!connector.is_ready());
}

void exceptions_go_to_the_handler()
{
    std::atomic<int> thrown{0};
    Events events;
    events.ready = [] { throw std::runtime_error("of ready"); };
    events.exception = [&](std::exception_ptr exception) {
        try {
            std::rethrow_exception(exception);
        } catch (const std::exception &) {
            ++thrown;
        } catch (int number) {
            thrown += number;
        }
    };
    auto connector = create(MEMORY, std::move(events));
    connector.set("k", 1, "1", [](auto) { throw 10; });
    connector.get("k", [tracked = Counted()](auto) { throw std::runtime_error("of get"); });
    wait_until(connector, [&] { return thrown == 12 && alive == 0; });
    answer(connector, connector.set("k", 2, "2"));

    // The handler outlives the connector for as long as its callbacks run.
    Destroyer destroy;
    Events last;
    last.exception = [&, kept = std::string(100, 'x')](std::exception_ptr) {
        thrown = kept == std::string(100, 'x') ? 100 : 0;
    };
    destroy.open(std::move(last)).set("k", 1, "1", [&, tracked = Counted()](auto) {
        destroy();
        throw 1;
    });
    destroy.wait();
    REQUIRE(thrown == 100);
}

void exceptions_without_a_handler_terminate()
{
    std::set_terminate([] { _exit(0); });
    auto connector = create();
    connector.set("k", 1, "1", [](auto) { throw std::runtime_error("of set"); });
    wait_until(connector, [] { return false; });
}

void moving_keeps_what_is_pending()
{
    static_assert(!std::is_copy_constructible_v<Connector> && !std::is_copy_assignable_v<Connector>);
    static_assert(std::is_nothrow_move_constructible_v<Connector> && std::is_nothrow_move_assignable_v<Connector>);
    auto first = create();
    first.set("k", 1, "1", nullptr);
    submit_all_kinds(first);
    Connector second = std::move(first);
    REQUIRE(first.native_handle() == nullptr); // NOLINT: that is what is tested
    REQUIRE(error_of([&] { first.get("k", Counted()); }).code() == ErrorCode::invalid_argument);
    wait_until(second, [] { return called == KINDS; });

    // What is assigned to answers what it has.
    auto third = create(UNREACHABLE);
    submit_all_kinds(third);
    third = std::move(second);
    REQUIRE(called == 2 * KINDS);
    REQUIRE(answer(third, third.head("k")) == 1);
    auto &itself = third;
    third = std::move(itself);
    REQUIRE(third.is_ready());
}

void events_are_told()
{
    std::atomic<int> readies{0}, errors{0}, lines{0};
    Events events;
    events.ready = [&] { ++readies; };
    events.log = [&](LogLevel level, std::string_view text) { lines += level <= LogLevel::error && !text.empty(); };
    events.error = [&](const Error &error, bool fatal) {
        REQUIRE(!fatal && error.code() == ErrorCode::unavailable && error.retryable());
        ++errors;
    };
    auto memory = create(MEMORY, events);
    wait_until(memory, [&] { return readies == 1; });
    auto unreachable = create(UNREACHABLE, events);
    wait_until(unreachable, [&] { return errors == 1 && lines > 0; });
    REQUIRE(readies == 1);
}

void modes_are_told_apart()
{
    auto connector = create();
    if (polled) {
        REQUIRE(connector.fd() >= 0);
        connector.set("k", 1, "1", Counted([&] {
                          connector.dispatch(); // does nothing
                          REQUIRE(called == 0);
                      }));
        connector.get("k", Counted());
        REQUIRE(called == 0);
        wait_until(connector, [] { return called == 2; });
    } else {
        REQUIRE(error_of([&] { connector.fd(); }).code() == ErrorCode::unsupported);
        REQUIRE(error_of([&] { connector.dispatch(); }).code() == ErrorCode::unsupported);
    }
}

} // namespace

int main(int count, char **arguments)
{
    return run(count, arguments,
               {
                   {"documents_round_trip", documents_round_trip},
                   {"operations_on_a_key_keep_their_order", operations_on_a_key_keep_their_order},
                   {"every_operation_answers", every_operation_answers},
                   {"callbacks_are_called_once", callbacks_are_called_once},
                   {"a_refused_call_destroys_its_callable", a_refused_call_destroys_its_callable},
                   {"wrong_configurations_are_refused", wrong_configurations_are_refused},
                   {"the_destructor_answers_what_is_pending", the_destructor_answers_what_is_pending},
                   {"a_callback_may_destroy_the_connector", a_callback_may_destroy_the_connector},
                   {"an_event_may_destroy_the_connector", an_event_may_destroy_the_connector},
                   {"a_callable_may_own_the_connector", a_callable_may_own_the_connector},
                   {"futures_have_values_and_errors", futures_have_values_and_errors},
                   {"exceptions_go_to_the_handler", exceptions_go_to_the_handler},
                   {"exceptions_without_a_handler_terminate", exceptions_without_a_handler_terminate},
                   {"moving_keeps_what_is_pending", moving_keeps_what_is_pending},
                   {"events_are_told", events_are_told},
                   {"modes_are_told_apart", modes_are_told_apart},
               });
}
