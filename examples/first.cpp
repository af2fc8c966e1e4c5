// A first program in C++: stores a record, reads it back, and ends.
//
//     c++ -std=c++17 examples/first.cpp -I include -L target/release -ldeepstream_connector -lpthread
//     ./a.out                                                    (the memory cache)
//     ./a.out '{"type": "sqlite", "path": "records.db"}'     (any other configuration)

#include <deepstream_connector.hpp>

#include <iostream>

int main(int count, char **arguments)
{
    try {
        deepstream::Connector connector(count > 1 ? arguments[1] : R"({"type": "memory"})");

        // Nothing has to wait for the connection, nor the get for the set: the order is kept.
        auto stored = connector.set("user/ada", 1, R"({"name": "Ada", "born": 1815})");
        auto record = connector.get("user/ada").get();
        stored.get(); // throws if it failed

        if (record)
            std::cout << "user/ada: version " << record->version << ", " << record->data << "\n";
        else // a miss is not an error
            std::cout << "user/ada: no record\n";
        return 0;
    } catch (const deepstream::Error &error) {
        std::cerr << error.name() << ": " << error.what() << "\n";
        return 1;
    }
}
