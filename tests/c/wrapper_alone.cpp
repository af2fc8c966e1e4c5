/* The C++ header needs nothing before it, and may be included twice. */
#include <deepstream_connector.hpp>
#include <deepstream_connector.hpp>

int main()
{
    deepstream::Connector connector(R"({"type": "memory"})");
    return connector.head("nothing").get().has_value() ? 1 : 0;
}
