#pragma once
// The JSON schema of a manifest, for editors: made from the tables that the reader takes it by. It refuses nothing that
// the reader takes; what depends on the device, or on several keys at once, only the reader knows.

#include <string>

namespace modelguard::daemon {

/// JSON Schema, draft 7, as text that ends with a newline.
std::string manifest_schema();

}  // namespace modelguard::daemon
