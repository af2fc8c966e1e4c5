// A first program in C++: a connector as an object, callbacks as lambdas, answers as futures.
//
//     c++ -std=c++11 examples/first.cpp -I include -L target/release -ldeepstream_connector -lpthread
//     ./a.out                                                    (the memory cache)
//     ./a.out '{"type": "sqlite", "path": "records.db"}'     (any other configuration)

#include <deepstream_connector.h>

#include <cstdint>
#include <future>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>

struct Record {
    bool found;
    std::int64_t version;
    std::string data;
};

class Connector {
public:
    explicit Connector(const std::string &config)
    {
        connector_t *made = nullptr;
        check(connector_create(config.data(), config.size(), nullptr, &made));
        connector.reset(made);
    }

    std::future<Record> get(const std::string &key)
    {
        // The promise is the callback's from the moment the request is accepted.
        std::unique_ptr<std::promise<Record>> promise(new std::promise<Record>);
        std::future<Record> answer = promise->get_future();
        check(connector_get(connector.get(), key.data(), key.size(), 0, on_record, promise.get()));
        promise.release();
        return answer;
    }

    std::future<void> set(const std::string &key, std::int64_t version, const std::string &data)
    {
        std::unique_ptr<std::promise<void>> promise(new std::promise<void>);
        std::future<void> answer = promise->get_future();
        check(connector_set(connector.get(), key.data(), key.size(), version, data.data(), data.size(), 0,
                            on_done, promise.get()));
        promise.release();
        return answer;
    }

private:
    struct Free {
        void operator()(connector_t *it) const { connector_free(it); }
    };
    std::unique_ptr<connector_t, Free> connector;

    static void check(std::int32_t code)
    {
        if (code != CONNECTOR_OK)
            throw std::runtime_error(connector_last_error_message(nullptr));
    }

    static std::exception_ptr exception(const connector_error_t *error)
    {
        return std::make_exception_ptr(std::runtime_error(std::string(error->message, error->message_length)));
    }

    static void on_record(void *userdata, const connector_error_t *error, const connector_record_t *record)
    {
        std::unique_ptr<std::promise<Record>> promise(static_cast<std::promise<Record> *>(userdata));
        if (error)
            promise->set_exception(exception(error));
        else if (record)
            promise->set_value(Record{true, record->version, std::string(record->data, record->data_length)});
        else
            promise->set_value(Record{false, 0, std::string()});
    }

    static void on_done(void *userdata, const connector_error_t *error)
    {
        std::unique_ptr<std::promise<void>> promise(static_cast<std::promise<void> *>(userdata));
        if (error)
            promise->set_exception(exception(error));
        else
            promise->set_value();
    }
};

int main(int count, char **arguments)
{
    try {
        Connector connector(count > 1 ? arguments[1] : "{\"type\": \"memory\"}");
        connector.set("user/ada", 1, "{\"name\": \"Ada\", \"born\": 1815}").get();
        Record record = connector.get("user/ada").get();
        if (record.found)
            std::cout << "user/ada: version " << record.version << ", " << record.data << "\n";
        return 0;
    } catch (const std::exception &error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
