#pragma once
// Breadth first over everything that can happen within the bounds, through the shipping core::step(); then the
// questions about the whole graph: is rest always reachable, can core run in circles by itself.

#include <cstdint>
#include <string>
#include <vector>

#include "tests/model/world.hpp"

namespace modelguard::model {

struct Options {
    std::size_t max_states{0};  ///< 0: all of them
    bool first_only{false};     ///< stop at the first counterexample (mutants)
    bool graph{true};           ///< also the questions about the whole graph
    unsigned stale_every{1};    ///< stale and senseless events at every n-th state
};

struct Report {
    std::size_t states{0};
    std::size_t edges{0};
    std::size_t steps{0};
    std::size_t longest_to_rest{0};   ///< most moves to rest in a world without faults
    bool complete{true};              ///< every reachable state was seen
    std::vector<std::string> broken;  ///< names of invariants, each once
    std::vector<std::string> traces;  ///< a shortest counterexample for each
};

Report explore(const Bounds& bounds, const Options& options);

}  // namespace modelguard::model
