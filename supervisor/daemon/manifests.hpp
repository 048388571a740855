#pragma once
// The compiled manifests by model and revision: the one in force, and those that older versions became known-good with.
// Not for parsing (manifest) nor for which revision is in force (core).

#include <map>
#include <memory>
#include <string>

#include "supervisor/daemon/manifest.hpp"
#include "supervisor/store/ledger.hpp"

namespace modelguard::daemon {

class Manifests {
  public:
    /// Compiles what the ledger kept; a text that this release cannot compile is named in `notes` and left out.
    void load(const std::vector<store::StoredManifest>& stored, const DeviceConfig& device,
              std::vector<std::string>& notes);
    std::shared_ptr<const Manifest> add(Manifest manifest);
    /// The revision, or nullptr: then nothing can be judged under it, and that is inconclusive.
    std::shared_ptr<const Manifest> find(const std::string& model, const std::string& rev) const;
    /// The revision, or else the newest one of the model: for moving a version, any manifest that names its service
    /// will do.
    std::shared_ptr<const Manifest> find_or_newest(const std::string& model, const std::string& rev) const;

    struct Source {
        core::Origin origin{core::Origin::file};
        std::string file;
    };
    /// Where the revision came from, also one that this release cannot compile; nullptr where it is not known.
    const Source* source(const std::string& model, const std::string& rev) const;
    void forget(const std::string& model) { models_.erase(model); }

  private:
    struct OfModel {
        std::map<std::string, Source, std::less<>> sources;
        std::map<std::string, std::shared_ptr<const Manifest>, std::less<>> by_rev;  // shared: a judging keeps its own
        std::shared_ptr<const Manifest> newest;
    };
    std::map<std::string, OfModel, std::less<>> models_;
};

}  // namespace modelguard::daemon
