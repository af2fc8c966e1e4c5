/* The header needs nothing before it, and may be included twice. */
#include <deepstream_connector.h>
#include <deepstream_connector.h>

int main()
{
    connector_events_t events = {};
    events.size = sizeof events;
    return connector_abi_version() == CONNECTOR_ABI_VERSION ? 0 : 1;
}
