/*
 * deepstream-connector for C++: connects any host to any cache or database. C++17, header only, on
 * the C interface of deepstream_connector.h. Link with -ldeepstream_connector.
 *
 *     deepstream::Connector cache(R"({"type": "memory"})");
 *     cache.set("user/1", 1, R"({"name": "Ada"})").get();                 // a std::future
 *     cache.get("user/1", [](deepstream::Result<std::optional<deepstream::Record>> record) { ... });
 *     auto record = co_await cache.get("user/1");                         // in a coroutine of C++20
 *
 * Three faces. Each operation answers in one of three ways:
 *   - a callback, any callable, also one that can only be moved, is given the answer: a Result, or
 *     for many keys a vector of them. It is called once, and destroyed after that on the same
 *     thread. nullptr stands for nobody: the operation is carried out, the answer goes nowhere;
 *   - a Future is a std::future: get() gives the value or throws the Error;
 *   - a Future may be awaited instead: co_await gives the value or throws the Error.
 * An operation is submitted by the call in all three, not when somebody waits for it.
 *
 * The C interface's completion queue (connector_create_queued, connector_submit, connector_next,
 * connector_stop) is for hosts to which a callback is dear. It has no face here; take the functions.
 *
 * Refusals. A call that throws Error has not been accepted. Its callable is destroyed before the
 * call is left, and is never called. Otherwise it is called exactly once.
 *
 * Order. Operations on one key are carried out in the order of their submission. Operations on
 * different keys may overtake each other.
 *
 * Threads. Any thread may use a Connector at any time, also from inside a callback; to construct it,
 * to move it and to destroy it demands that no other thread uses it meanwhile. Callbacks run one at
 * a time: on a thread of the connector's own, or of one made by Connector::polled inside of
 * dispatch(). Coroutines are resumed there, too. Do not wait there for a Future of the same
 * connector: it cannot be answered before the callback returns.
 *
 * Destruction. ~Connector runs every callback that has not run yet, with ErrorCode::closed where
 * there is no result; so every Future is ready and every coroutine resumed when it returns. It waits
 * for a callback that runs on another thread, never for the server. It may run inside any callback
 * of the connector, also where the callable owns it; but no other thread may be inside of a call then,
 * not even of that which submitted the operation. Callbacks that run inside of it may still use the
 * connector by a reference, and are refused with ErrorCode::closed.
 *
 * Memory. What is given to a function is copied when it returns. Answers are owned by whoever gets
 * them. What an event is given is valid until it returns. Where memory runs out while an answer is
 * copied, std::terminate is called.
 *
 * Exceptions. None passes through the library. One that leaves a callback, an event or a resumed
 * coroutine is given to Events::exception; where that is not set, or throws, std::terminate is
 * called.
 *
 * Text. Keys, documents, configurations and messages are UTF-8. A document is one JSON document.
 */

#ifndef DEEPSTREAM_CONNECTOR_HPP
#define DEEPSTREAM_CONNECTOR_HPP

#include <deepstream_connector.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <future>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#ifdef __cpp_impl_coroutine
#include <coroutine>
#endif

namespace deepstream {

/// What kind of failure it is. Later versions of the library may have numbers beyond these: treat
/// them as a failure and show the message. docs/errors.md says what to do about each.
enum class ErrorCode : std::int32_t {
    invalid_argument = CONNECTOR_ERR_INVALID_ARGUMENT,
    configuration = CONNECTOR_ERR_CONFIGURATION,
    busy = CONNECTOR_ERR_BUSY,
    closed = CONNECTOR_ERR_CLOSED,
    timeout = CONNECTOR_ERR_TIMEOUT,
    unavailable = CONNECTOR_ERR_UNAVAILABLE,
    authentication = CONNECTOR_ERR_AUTHENTICATION,
    backend = CONNECTOR_ERR_BACKEND,
    too_large = CONNECTOR_ERR_TOO_LARGE,
    corrupt = CONNECTOR_ERR_CORRUPT,
    panic = CONNECTOR_ERR_PANIC,
    forked = CONNECTOR_ERR_FORKED,
    unsupported = CONNECTOR_ERR_UNSUPPORTED,
};

/// Whether an operation that failed may have been carried out.
enum class Applied : std::int32_t {
    /// It was not, and will not be; so for whatever changes nothing.
    no = CONNECTOR_APPLIED_NO,
    /// Nobody knows: it may have been, or may still be.
    unknown = CONNECTOR_APPLIED_UNKNOWN,
};

/// How much a line of the log matters. There may be numbers beyond these.
enum class LogLevel : std::int32_t {
    debug = CONNECTOR_LOG_DEBUG,
    info = CONNECTOR_LOG_INFO,
    warn = CONNECTOR_LOG_WARN,
    error = CONNECTOR_LOG_ERROR,
};

/// What went wrong. what() is one sentence for a person, which never holds a password, a token or a
/// record's data.
class Error : public std::runtime_error {
public:
    Error(ErrorCode code, const std::string &message, bool retryable, Applied applied)
        : std::runtime_error(message), code_(code), retryable_(retryable), applied_(applied)
    {
    }

    /// Which kind of failure it is.
    ErrorCode code() const noexcept { return code_; }

    /// The code's name: "BUSY" for ErrorCode::busy, "UNKNOWN" for one that the library does not
    /// have. A static text.
    const char *name() const noexcept { return connector_error_name(static_cast<std::int32_t>(code_)); }

    /// Whether the same call may succeed later without a change by the caller.
    bool retryable() const noexcept { return retryable_; }

    /// Whether the operation may have been carried out although it failed.
    Applied applied() const noexcept { return applied_; }

private:
    ErrorCode code_;
    bool retryable_;
    Applied applied_;
};

/// A value or the Error instead of it, in the manner of std::expected. T may be void.
template <class T> class [[nodiscard]] Result {
public:
    Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : content_(std::in_place_index<1>, std::move(error)) {}

    bool has_value() const noexcept { return content_.index() == 0; }
    explicit operator bool() const noexcept { return has_value(); }

    /// The value; throws the Error where there is none.
    T &value() & { return checked(*this); }
    const T &value() const & { return checked(*this); }
    T &&value() && { return std::move(checked(*this)); }

    /// The value, of which you know that it is there: has_value().
    T &operator*() & noexcept { return *std::get_if<0>(&content_); }
    const T &operator*() const & noexcept { return *std::get_if<0>(&content_); }
    T &&operator*() && noexcept { return std::move(*std::get_if<0>(&content_)); }
    T *operator->() noexcept { return std::get_if<0>(&content_); }
    const T *operator->() const noexcept { return std::get_if<0>(&content_); }

    /// The error, of which you know that it is there: !has_value().
    const Error &error() const noexcept { return *std::get_if<1>(&content_); }

private:
    template <class Self> static auto &checked(Self &self)
    {
        if (!self.has_value())
            throw self.error();
        return *std::get_if<0>(&self.content_);
    }

    std::variant<T, Error> content_;
};

template <> class [[nodiscard]] Result<void> {
public:
    Result() = default;
    Result(Error error) : error_(std::move(error)) {}

    bool has_value() const noexcept { return !error_.has_value(); }
    explicit operator bool() const noexcept { return has_value(); }

    /// Throws the Error if there is one.
    void value() const
    {
        if (error_)
            throw *error_;
    }

    /// The error, of which you know that it is there: !has_value().
    const Error &error() const noexcept { return *error_; }

private:
    std::optional<Error> error_;
};

/// A record that was read.
struct Record {
    /// The version that it was stored with.
    std::int64_t version;
    /// One JSON document.
    std::string data;
};

/// A record of a page.
struct NamedRecord {
    std::string key;
    /// The version that it was stored with.
    std::int64_t version;
    /// One JSON document.
    std::string data;
};

/// Some of all records.
struct Page {
    /// There may be none though other pages follow.
    std::vector<NamedRecord> records;
    /// What to give to scan() for the next page; none on the last page.
    std::optional<std::string> cursor;
};

/// A record to be stored by set_many(). It borrows its texts until that call returns.
struct Entry {
    /// 1 to 65536 bytes.
    std::string_view key;
    /// Any number; it is stored as it is.
    std::int64_t version;
    /// One JSON document.
    std::string_view data;
};

/// The deadline of one operation from its submission on, time in the queue included: 1 to 4294967295
/// milliseconds; none means the connector's option `timeout`. Any other is refused with
/// ErrorCode::invalid_argument.
using Timeout = std::optional<std::chrono::milliseconds>;

/// What a host wants to hear besides the answers to its operations. Each may be empty. They run where
/// callbacks do (see above), one at a time, and may use the connector and destroy it. The first may
/// run before the constructor of the connector has returned. They are destroyed with the connector,
/// or with the last callback that runs inside of its destruction.
struct Events {
    /// The connection stands: for the first time, or again after an outage.
    std::function<void()> ready;
    /// Something went wrong that belongs to no operation, such as a lost connection; once for each
    /// outage. `fatal` means that waiting will not help.
    std::function<void(const Error &error, bool fatal)> error;
    /// A line for the log.
    std::function<void(LogLevel level, std::string_view text)> log;
    /// A message of the database that a command() asked for.
    std::function<void(std::string_view channel, std::string_view payload)> notification;
    /// An exception that left a callback, an event or a resumed coroutine. Without this, or if it
    /// throws, std::terminate is called.
    std::function<void(std::exception_ptr exception)> exception;
};

namespace detail {

/// The C interface takes no NULL, not even for an empty text.
inline const char *pointer(std::string_view text) noexcept
{
    return text.data() == nullptr ? "" : text.data();
}

/// A refusal becomes an Error with this thread's message.
inline void check(std::int32_t number)
{
    if (number == CONNECTOR_OK)
        return;
    const ErrorCode code{number};
    const bool retryable =
        code == ErrorCode::busy || code == ErrorCode::timeout || code == ErrorCode::unavailable;
    std::size_t length = 0;
    const char *message = connector_last_error_message(&length);
    throw Error(code, std::string(message, length), retryable, Applied::no);
}

inline std::uint32_t milliseconds(const Timeout &timeout)
{
    if (!timeout)
        return 0;
    if (timeout->count() < 1 || timeout->count() > std::int64_t{UINT32_MAX})
        throw Error(ErrorCode::invalid_argument, "timeout must be from 1 to 4294967295 milliseconds", false,
                    Applied::no);
    return static_cast<std::uint32_t>(timeout->count());
}

inline Error read_error(const connector_error_t &error)
{
    // The field came later than the others: an older library has none.
    const bool known = error.size >= offsetof(connector_error_t, applied) + sizeof error.applied &&
                       error.applied == CONNECTOR_APPLIED_NO;
    return Error(ErrorCode{error.code}, std::string(error.message, error.message_length), error.retryable,
                 known ? Applied::no : Applied::unknown);
}

/// What outlives a connector for as long as one of its callbacks runs.
class Listener : public std::enable_shared_from_this<Listener> {
public:
    explicit Listener(Events events) : events_(std::move(events)) {}

    /// Runs something of the host's; what it throws goes to the host's handler.
    template <class Work> void guard(Work &&work) const noexcept
    {
        try {
            work();
        } catch (...) {
            if (!events_.exception)
                std::terminate();
            events_.exception(std::current_exception());
        }
    }

    /// The events that are wanted, as the C interface has them.
    connector_events_t view() noexcept
    {
        connector_events_t view{};
        view.size = sizeof view;
        view.userdata = this;
        if (events_.ready)
            view.ready = on_ready;
        if (events_.error)
            view.error = on_error;
        if (events_.log)
            view.log = on_log;
        if (events_.notification)
            view.notification = on_notification;
        return view;
    }

private:
    template <class Work> static void tell(void *userdata, Work &&work) noexcept
    {
        // The event may destroy the connector.
        const auto self = static_cast<Listener *>(userdata)->shared_from_this();
        self->guard([&] { work(self->events_); });
    }

    static void on_ready(void *userdata) noexcept
    {
        tell(userdata, [](const Events &events) { events.ready(); });
    }

    static void on_error(void *userdata, const connector_error_t *error, bool fatal) noexcept
    {
        tell(userdata, [&](const Events &events) { events.error(read_error(*error), fatal); });
    }

    static void on_log(void *userdata, std::int32_t level, const char *text, std::size_t length) noexcept
    {
        tell(userdata, [&](const Events &events) { events.log(LogLevel{level}, {text, length}); });
    }

    static void on_notification(void *userdata, const char *channel, std::size_t channel_length,
                                const char *payload, std::size_t payload_length) noexcept
    {
        tell(userdata, [&](const Events &events) {
            events.notification({channel, channel_length}, {payload, payload_length});
        });
    }

    Events events_;
};

// For each kind of operation: what it answers, and how that is read from what the C interface gives.

struct Done {
    using Callback = connector_done_callback_t;
    using Value = void;
    using Answer = Result<void>;

    static Answer read(const connector_error_t *error)
    {
        return error == nullptr ? Answer() : Answer(read_error(*error));
    }

    static Answer read_one(const connector_result_t &result) { return read(result.error); }
};

struct Get {
    using Callback = connector_record_callback_t;
    using Value = std::optional<Record>;
    using Answer = Result<Value>;

    static Answer read(const connector_error_t *error, const connector_record_t *record)
    {
        if (error != nullptr)
            return read_error(*error);
        if (record == nullptr)
            return Value();
        return Value(Record{record->version, std::string(record->data, record->data_length)});
    }

    static Answer read_one(const connector_result_t &result) { return read(result.error, result.record); }
};

struct Head {
    using Callback = connector_record_callback_t;
    using Value = std::optional<std::int64_t>;
    using Answer = Result<Value>;

    static Answer read(const connector_error_t *error, const connector_record_t *record)
    {
        if (error != nullptr)
            return read_error(*error);
        return record == nullptr ? Value() : Value(record->version);
    }

    static Answer read_one(const connector_result_t &result) { return read(result.error, result.record); }
};

template <class One> struct Many {
    using Callback = connector_many_callback_t;
    using Value = std::vector<typename One::Answer>;
    using Answer = Value;

    static Answer read(const connector_error_t *, const connector_result_t *const *results, std::size_t count)
    {
        Answer answer;
        answer.reserve(count);
        for (std::size_t index = 0; index < count; ++index)
            answer.push_back(One::read_one(*results[index]));
        return answer;
    }
};

struct Scan {
    using Callback = connector_page_callback_t;
    using Value = Page;
    using Answer = Result<Value>;

    static Answer read(const connector_error_t *error, const connector_page_t *page)
    {
        if (error != nullptr)
            return read_error(*error);
        Page answer;
        answer.records.reserve(page->count);
        for (std::size_t index = 0; index < page->count; ++index) {
            const connector_named_record_t &record = *page->records[index];
            answer.records.push_back({std::string(record.key, record.key_length), record.version,
                                      std::string(record.data, record.data_length)});
        }
        if (page->cursor != nullptr)
            answer.cursor.emplace(page->cursor, page->cursor_length);
        return Answer(std::move(answer));
    }
};

struct Command {
    using Callback = connector_answer_callback_t;
    using Value = std::string;
    using Answer = Result<Value>;

    static Answer read(const connector_error_t *error, const char *json, std::size_t length)
    {
        if (error != nullptr)
            return read_error(*error);
        return std::string(json, length);
    }
};

/// A callable on its way: owned by the library from acceptance until its call. The call and the
/// callable's end may destroy the connector, so the listener comes first, and goes last.
template <class Callable> struct Node {
    std::shared_ptr<const Listener> listener;
    Callable callable;
};

/// What the library calls. The answer is read outside of the guard: a callable is never skipped.
template <class Kind, class Callable, class... Raw> void on_answer(void *userdata, Raw... raw) noexcept
{
    std::unique_ptr<Node<Callable>> node(static_cast<Node<Callable> *>(userdata));
    auto answer = Kind::read(raw...);
    node->listener->guard([&] { std::move(node->callable)(std::move(answer)); });
}

/// Who waits for an answer besides the std::future: a coroutine, or nobody. Every standard of the
/// language sees the same, so that parts of a program may differ in theirs.
class Continuation {
public:
    bool is_due() const noexcept { return waiting_.load(std::memory_order_acquire) == due(); }

    /// Leaves word of a coroutine; false if the answer is there already.
    bool await(void *coroutine, void (*resume_it)(void *)) noexcept
    {
        resume_ = resume_it;
        void *nobody = nullptr;
        return waiting_.compare_exchange_strong(nobody, coroutine, std::memory_order_acq_rel);
    }

    /// The coroutine is destroyed without having been resumed.
    void abandon() noexcept { waiting_.store(due(), std::memory_order_release); }

    /// The answer is there: resumes who waits.
    void resume()
    {
        void *coroutine = waiting_.exchange(due(), std::memory_order_acq_rel);
        if (coroutine != nullptr && coroutine != due())
            resume_(coroutine);
    }

private:
    void *due() const noexcept { return const_cast<Continuation *>(this); }

    std::atomic<void *> waiting_{nullptr};
    void (*resume_)(void *) = nullptr;
};

/// The callable behind a Future.
template <class T> struct Fulfilment {
    std::promise<T> promise;
    std::shared_ptr<Continuation> continuation;

    void operator()(Result<T> answer)
    {
        if (!answer)
            promise.set_exception(std::make_exception_ptr(answer.error()));
        else if constexpr (std::is_void_v<T>)
            promise.set_value();
        else
            promise.set_value(*std::move(answer));
        continuation->resume();
    }
};

template <class T> struct Awaiter;

/// Whether something may stand where a callback of such answers is wanted.
template <class F, class Kind>
using Callback = std::enable_if_t<std::is_null_pointer_v<std::decay_t<F>> ||
                                  std::is_invocable_v<std::decay_t<F>, typename Kind::Answer>>;

/// Whether what a range gives out outlives the loop's step: a reference, or a view.
template <class Range>
using Element = decltype(*std::begin(std::declval<const Range &>()));
template <class Range>
inline constexpr bool is_lasting =
    std::is_lvalue_reference_v<Element<Range>> || std::is_trivially_copyable_v<Element<Range>>;

} // namespace detail

/// The answer to an operation that is under way. It is a std::future, and may be moved into one.
/// get() gives the value or throws the Error; its destructor does not wait.
///
/// In C++20 it may be awaited instead, once: `co_await connector.get(...)`, or
/// `co_await std::move(future)`. The coroutine is resumed where callbacks run. It may be destroyed
/// while it waits, unless it is being resumed at that moment: do so where callbacks run, or when the
/// connector is gone.
template <class T> class [[nodiscard]] Future : public std::future<T> {
public:
    Future() = default;

private:
    friend class Connector;
    friend struct detail::Awaiter<T>;

    Future(std::future<T> &&answer, std::shared_ptr<detail::Continuation> continuation)
        : std::future<T>(std::move(answer)), continuation_(std::move(continuation))
    {
    }

    std::shared_ptr<detail::Continuation> continuation_;
};

/// Keys for the functions of many: `{"a", "b"}`, or any range of std::string, std::string_view or
/// const char *. It borrows them: make it in the call.
class Keys {
public:
    Keys(std::initializer_list<std::string_view> keys) { append(keys); }

    template <class Range, class = std::enable_if_t<
                               std::is_convertible_v<detail::Element<Range>, std::string_view>>>
    Keys(const Range &keys)
    {
        static_assert(detail::is_lasting<Range>, "the range must give references or views");
        append(keys);
    }

    const connector_key_t *data() const noexcept { return keys_.data(); }
    std::size_t size() const noexcept { return keys_.size(); }

private:
    template <class Range> void append(const Range &keys)
    {
        for (auto &&element : keys) {
            const std::string_view key = element;
            keys_.push_back({sizeof(connector_key_t), detail::pointer(key), key.size()});
        }
    }

    std::vector<connector_key_t> keys_;
};

/// Records for set_many(): `{{"a", 1, "{}"}, {"b", 1, "[]"}}`, or any range of Entry, NamedRecord or
/// what else has `key`, `version` and `data`. It borrows them: make it in the call.
class Entries {
public:
    Entries(std::initializer_list<Entry> entries) { append(entries); }

    template <class Range, class = decltype(std::declval<detail::Element<Range>>().version)>
    Entries(const Range &entries)
    {
        static_assert(detail::is_lasting<Range>, "the range must give references or views");
        append(entries);
    }

    const connector_entry_t *data() const noexcept { return entries_.data(); }
    std::size_t size() const noexcept { return entries_.size(); }

private:
    template <class Range> void append(const Range &entries)
    {
        for (const auto &entry : entries) {
            const std::string_view key = entry.key, data = entry.data;
            entries_.push_back({sizeof(connector_entry_t), detail::pointer(key), key.size(), entry.version,
                                detail::pointer(data), data.size()});
        }
    }

    std::vector<connector_entry_t> entries_;
};

/// A connector: one connection to a cache or database. It can be moved, not copied; pending callbacks
/// do not notice. One that was moved from refuses everything with ErrorCode::invalid_argument.
///
/// Every operation throws Error if it is not accepted: ErrorCode::invalid_argument for an empty or
/// overlong key, text that is not UTF-8, data that is not JSON or a timeout out of range;
/// ErrorCode::busy, ErrorCode::closed, ErrorCode::forked.
class Connector {
public:
    /// Makes a connector whose callbacks run on a thread of its own. `config` is one JSON object with
    /// the option `type` and those of that type; see docs/options.md. It returns at once: the
    /// connection is made in the background, and operations are accepted already.
    ///
    /// Throws Error: ErrorCode::configuration for whatever can be known to be wrong without a server,
    /// with the option's name and the remedy; ErrorCode::unavailable if the system gives no thread.
    explicit Connector(std::string_view config, Events events = {})
        : Connector(connector_create, config, std::move(events))
    {
    }

    /// Makes a connector whose callbacks run inside of dispatch(), on the thread that calls it: for
    /// hosts with an event loop. Errors besides those of the constructor: ErrorCode::unsupported on
    /// systems other than Linux.
    static Connector polled(std::string_view config, Events events = {})
    {
        return Connector(connector_create_polled, config, std::move(events));
    }

    Connector(Connector &&other) noexcept
        : handle_(std::exchange(other.handle_, nullptr)), listener_(std::move(other.listener_))
    {
    }

    /// Destroys what was here, and takes over the other.
    Connector &operator=(Connector &&other) noexcept
    {
        if (this != &other) {
            connector_free(handle_);
            handle_ = std::exchange(other.handle_, nullptr);
            listener_ = std::move(other.listener_);
        }
        return *this;
    }

    Connector(const Connector &) = delete;
    Connector &operator=(const Connector &) = delete;

    /// Releases the connector, at any time; see "Destruction" at the top. In a forked child it does
    /// nothing.
    ~Connector() { connector_free(handle_); }

    /// Reads a record; none for a miss, which is no error. It sees every earlier set and remove of this
    /// connector, answered or not. `key` is 1 to 65536 bytes.
    Future<std::optional<Record>> get(std::string_view key, Timeout timeout = {})
    {
        return promise<detail::Get>([&](auto fulfil) { get(key, std::move(fulfil), timeout); });
    }

    /// The callback gets a Result<std::optional<Record>>.
    template <class F, class = detail::Callback<F, detail::Get>>
    void get(std::string_view key, F &&callback, Timeout timeout = {})
    {
        ask_one<detail::Get>(connector_get, key, std::forward<F>(callback), timeout);
    }

    /// Reads a version without the data; none for a miss. Otherwise like get().
    Future<std::optional<std::int64_t>> head(std::string_view key, Timeout timeout = {})
    {
        return promise<detail::Head>([&](auto fulfil) { head(key, std::move(fulfil), timeout); });
    }

    /// The callback gets a Result<std::optional<std::int64_t>>.
    template <class F, class = detail::Callback<F, detail::Head>>
    void head(std::string_view key, F &&callback, Timeout timeout = {})
    {
        ask_one<detail::Head>(connector_head, key, std::forward<F>(callback), timeout);
    }

    /// Stores a record, replacing what was there, whatever its version. Success means that the database
    /// has acknowledged it. `version` is any number, `data` one JSON document. Sets of one key that wait
    /// together become one, the last; each is answered when that is stored.
    Future<void> set(std::string_view key, std::int64_t version, std::string_view data, Timeout timeout = {})
    {
        return promise<detail::Done>(
            [&](auto fulfil) { set(key, version, data, std::move(fulfil), timeout); });
    }

    /// The callback gets a Result<void>.
    template <class F, class = detail::Callback<F, detail::Done>>
    void set(std::string_view key, std::int64_t version, std::string_view data, F &&callback,
             Timeout timeout = {})
    {
        submit<detail::Done>(std::forward<F>(callback), [&, limit = detail::milliseconds(timeout)](
                                                            auto call, void *userdata) {
            return connector_set(handle_, detail::pointer(key), key.size(), version, detail::pointer(data),
                                 data.size(), limit, call, userdata);
        });
    }

    /// Removes a record; one that is not there is no error. Otherwise like set().
    Future<void> remove(std::string_view key, Timeout timeout = {})
    {
        return promise<detail::Done>([&](auto fulfil) { remove(key, std::move(fulfil), timeout); });
    }

    /// The callback gets a Result<void>.
    template <class F, class = detail::Callback<F, detail::Done>>
    void remove(std::string_view key, F &&callback, Timeout timeout = {})
    {
        ask_one<detail::Done>(connector_delete, key, std::forward<F>(callback), timeout);
    }

    /// Reads many records: one answer, with a result for each key in the order of the keys. The answer
    /// itself is no error; each result may be. A key may be given more than once. If the call throws,
    /// nothing of it is carried out.
    Future<std::vector<Result<std::optional<Record>>>> get_many(const Keys &keys, Timeout timeout = {})
    {
        return promise<Many<detail::Get>>([&](auto fulfil) { get_many(keys, std::move(fulfil), timeout); });
    }

    /// The callback gets a std::vector<Result<std::optional<Record>>>.
    template <class F, class = detail::Callback<F, detail::Many<detail::Get>>>
    void get_many(const Keys &keys, F &&callback, Timeout timeout = {})
    {
        ask_many<detail::Get>(connector_get_many, keys, std::forward<F>(callback), timeout);
    }

    /// Reads many versions without the data. Otherwise like get_many().
    Future<std::vector<Result<std::optional<std::int64_t>>>> head_many(const Keys &keys, Timeout timeout = {})
    {
        return promise<Many<detail::Head>>([&](auto fulfil) { head_many(keys, std::move(fulfil), timeout); });
    }

    /// The callback gets a std::vector<Result<std::optional<std::int64_t>>>.
    template <class F, class = detail::Callback<F, detail::Many<detail::Head>>>
    void head_many(const Keys &keys, F &&callback, Timeout timeout = {})
    {
        ask_many<detail::Head>(connector_head_many, keys, std::forward<F>(callback), timeout);
    }

    /// Stores many records, in their order where a key is given more than once. It is not a transaction:
    /// some may fail. Otherwise like get_many() and set().
    Future<std::vector<Result<void>>> set_many(const Entries &entries, Timeout timeout = {})
    {
        return promise<Many<detail::Done>>(
            [&](auto fulfil) { set_many(entries, std::move(fulfil), timeout); });
    }

    /// The callback gets a std::vector<Result<void>>.
    template <class F, class = detail::Callback<F, detail::Many<detail::Done>>>
    void set_many(const Entries &entries, F &&callback, Timeout timeout = {})
    {
        ask_many<detail::Done>(connector_set_many, entries, std::forward<F>(callback), timeout);
    }

    /// Removes many records. It is not a transaction: some may fail. Otherwise like get_many().
    Future<std::vector<Result<void>>> remove_many(const Keys &keys, Timeout timeout = {})
    {
        return promise<Many<detail::Done>>(
            [&](auto fulfil) { remove_many(keys, std::move(fulfil), timeout); });
    }

    /// The callback gets a std::vector<Result<void>>.
    template <class F, class = detail::Callback<F, detail::Many<detail::Done>>>
    void remove_many(const Keys &keys, F &&callback, Timeout timeout = {})
    {
        ask_many<detail::Done>(connector_delete_many, keys, std::forward<F>(callback), timeout);
    }

    /// Reads a page of at most `limit`, from 1 on, of all records, in an order of the database's own.
    /// `cursor` is none for the first page, and the cursor of a page for the one after it. A record that
    /// is there all the while is on one page; one that comes or goes meanwhile may be on one or on none.
    ///
    /// The answer is ErrorCode::unsupported from a cache, which cannot list its records, and
    /// ErrorCode::invalid_argument for a cursor that is none.
    Future<Page> scan(std::optional<std::string_view> cursor, std::size_t limit, Timeout timeout = {})
    {
        return promise<detail::Scan>([&](auto fulfil) { scan(cursor, limit, std::move(fulfil), timeout); });
    }

    /// The callback gets a Result<Page>.
    template <class F, class = detail::Callback<F, detail::Scan>>
    void scan(std::optional<std::string_view> cursor, std::size_t limit, F &&callback, Timeout timeout = {})
    {
        submit<detail::Scan>(std::forward<F>(callback), [&, time = detail::milliseconds(timeout)](
                                                            auto call, void *userdata) {
            return connector_scan(handle_, cursor ? detail::pointer(*cursor) : nullptr,
                                  cursor ? cursor->size() : 0, limit, time, call, userdata);
        });
    }

    /// scan() of the records alone whose keys begin with `prefix`. Where the database can tell, it sends
    /// no others. A page may have fewer records than `limit`, and even none, although there is a next one.
    Future<Page> scan_prefix(std::string_view prefix, std::optional<std::string_view> cursor,
                             std::size_t limit, Timeout timeout = {})
    {
        return promise<detail::Scan>(
            [&](auto fulfil) { scan_prefix(prefix, cursor, limit, std::move(fulfil), timeout); });
    }

    /// The callback gets a Result<Page>.
    template <class F, class = detail::Callback<F, detail::Scan>>
    void scan_prefix(std::string_view prefix, std::optional<std::string_view> cursor, std::size_t limit,
                     F &&callback, Timeout timeout = {})
    {
        submit<detail::Scan>(std::forward<F>(callback), [&, time = detail::milliseconds(timeout)](
                                                            auto call, void *userdata) {
            return connector_scan_prefix(handle_, detail::pointer(prefix), prefix.size(),
                                         cursor ? detail::pointer(*cursor) : nullptr,
                                         cursor ? cursor->size() : 0, limit, time, call, userdata);
        });
    }

    /// Carries out a command that only this type of database has; see docs/listing-and-commands.md.
    /// `arguments` is JSON, and may be empty; the value is JSON. A command whose answer is lost with the
    /// connection is not sent again: its answer is ErrorCode::unavailable. Where there is no such
    /// command it is ErrorCode::unsupported.
    Future<std::string> command(std::string_view name, std::string_view arguments = {}, Timeout timeout = {})
    {
        return promise<detail::Command>(
            [&](auto fulfil) { command(name, arguments, std::move(fulfil), timeout); });
    }

    /// The callback gets a Result<std::string>.
    template <class F, class = detail::Callback<F, detail::Command>>
    void command(std::string_view name, std::string_view arguments, F &&callback, Timeout timeout = {})
    {
        submit<detail::Command>(std::forward<F>(callback), [&, limit = detail::milliseconds(timeout)](
                                                               auto call, void *userdata) {
            return connector_command(handle_, detail::pointer(name), name.size(), detail::pointer(arguments),
                                     arguments.size(), limit, call, userdata);
        });
    }

    /// Closes in an orderly way: accepts nothing more, lets what was accepted finish within the option
    /// `closeTimeout`, fails the rest with ErrorCode::closed, says goodbye to the server, and answers.
    /// That is the connector's last answer. It is an error, ErrorCode::closed, only if the destructor
    /// came first. Throws Error with ErrorCode::closed if it was called before.
    Future<void> close()
    {
        return promise<detail::Done>([&](auto fulfil) { close(std::move(fulfil)); });
    }

    /// The callback gets a Result<void>. It may destroy the connector.
    template <class F, class = detail::Callback<F, detail::Done>> void close(F &&callback)
    {
        submit<detail::Done>(std::forward<F>(callback), [&](auto call, void *userdata) {
            return connector_close(handle_, call, userdata);
        });
    }

    /// Whether the connection stands at this moment. While it does not, operations wait for it, up to
    /// their deadline.
    bool is_ready() const
    {
        bool ready = false;
        detail::check(connector_is_ready(handle_, &ready));
        return ready;
    }

    /// Counters and latencies as one JSON object; see docs/statistics.md.
    std::string stats() const
    {
        char *json = nullptr;
        std::size_t length = 0;
        detail::check(connector_stats(handle_, &json, &length));
        const std::unique_ptr<char, void (*)(char *)> owner(json, connector_string_free);
        return std::string(json, length);
    }

    /// The file descriptor of a connector that polled() made: readable when dispatch() has something to
    /// do. Watch it for reading, level-triggered; do not read, write or close it, and stop watching it
    /// before the connector is destroyed. Throws Error with ErrorCode::unsupported for any other.
    int fd() const
    {
        std::int32_t fd = -1;
        detail::check(connector_fd(handle_, &fd));
        return fd;
    }

    /// Does what there is to do for a connector that polled() made, and runs callbacks, at most 1024 of
    /// them, on this thread. It never blocks. A call when fd() is not readable does no harm; nor does one
    /// from inside a callback, or while another thread dispatches: it returns at once. Throws Error with
    /// ErrorCode::unsupported for any other connector.
    void dispatch() { detail::check(connector_dispatch(handle_)); }

    /// The connector of the C interface, for its functions; still owned by this object. NULL if it was
    /// moved from.
    connector_t *native_handle() const noexcept { return handle_; }

private:
    template <class One> using Many = detail::Many<One>;

    template <class Create>
    Connector(Create create, std::string_view config, Events &&events)
        : listener_(std::make_shared<detail::Listener>(std::move(events)))
    {
        const connector_events_t view = listener_->view();
        detail::check(create(detail::pointer(config), config.size(), &view, &handle_));
    }

    /// Hands a callable to the library, which owns it if it accepts the request.
    template <class Kind, class F, class Request> void submit(F &&callback, Request &&request)
    {
        using Callable = std::decay_t<F>;
        typename Kind::Callback call = nullptr;
        if constexpr (std::is_null_pointer_v<Callable>) {
            detail::check(request(call, nullptr));
        } else {
            std::unique_ptr<detail::Node<Callable>> node(
                new detail::Node<Callable>{listener_, std::forward<F>(callback)});
            call = detail::on_answer<Kind, Callable>;
            detail::check(request(call, node.get()));
            node.release();
        }
    }

    template <class Kind, class Function, class F>
    void ask_one(Function function, std::string_view key, F &&callback, const Timeout &timeout)
    {
        submit<Kind>(std::forward<F>(callback), [&, limit = detail::milliseconds(timeout)](auto call,
                                                                                          void *userdata) {
            return function(handle_, detail::pointer(key), key.size(), limit, call, userdata);
        });
    }

    template <class One, class Function, class List, class F>
    void ask_many(Function function, const List &list, F &&callback, const Timeout &timeout)
    {
        submit<Many<One>>(std::forward<F>(callback), [&, limit = detail::milliseconds(timeout)](
                                                         auto call, void *userdata) {
            return function(handle_, list.data(), list.size(), limit, call, userdata);
        });
    }

    /// The face with a Future, by that with a callback.
    template <class Kind, class Submit> static Future<typename Kind::Value> promise(Submit &&submit_with)
    {
        using Value = typename Kind::Value;
        auto continuation = std::make_shared<detail::Continuation>();
        detail::Fulfilment<Value> fulfilment{std::promise<Value>(), continuation};
        Future<Value> future(fulfilment.promise.get_future(), std::move(continuation));
        submit_with(std::move(fulfilment));
        return future;
    }

    connector_t *handle_ = nullptr;
    std::shared_ptr<detail::Listener> listener_;
};

#ifdef __cpp_impl_coroutine

namespace detail {

/// Waits for a Future on behalf of a coroutine, in whose frame it lives.
template <class T> struct Awaiter {
    explicit Awaiter(Future<T> awaited) noexcept : future(std::move(awaited)) {}
    Awaiter(const Awaiter &) = delete;
    Awaiter &operator=(const Awaiter &) = delete;

    ~Awaiter()
    {
        if (future.continuation_)
            future.continuation_->abandon();
    }

    bool await_ready() const noexcept { return !future.continuation_ || future.continuation_->is_due(); }

    bool await_suspend(std::coroutine_handle<> coroutine) noexcept
    {
        return future.continuation_->await(coroutine.address(), [](void *address) {
            std::coroutine_handle<>::from_address(address).resume();
        });
    }

    T await_resume() { return future.get(); }

    Future<T> future;
};

} // namespace detail

/// Awaits the answer; see Future.
template <class T> detail::Awaiter<T> operator co_await(Future<T> &&future) noexcept
{
    return detail::Awaiter<T>(std::move(future));
}

#endif

} // namespace deepstream

#endif // DEEPSTREAM_CONNECTOR_HPP
