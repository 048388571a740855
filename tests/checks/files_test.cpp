#include "tests/checks/written_check.hpp"

namespace modelguard::checks::test {
namespace {

using core::VerdictKind;

class FilesKind : public WrittenCheck {};

TEST_F(FilesKind, what_must_be_there_is_there) {
    write_file("model.onnx", "weights");
    write_file("data/labels.txt", "a");
    EXPECT_EQ(run_written("kind: files, present: [model.onnx, data, data/labels.txt]").verdict, VerdictKind::pass);
}

TEST_F(FilesKind, a_missing_or_empty_file_fails_by_its_name) {
    write_file("model.onnx", "");
    const CheckOutcome missing = run_written("kind: files, present: [labels.txt]");
    EXPECT_EQ(missing.code, "file_missing");
    EXPECT_NE(missing.text.find("labels.txt"), std::string::npos);
    EXPECT_EQ(run_written("kind: files, present: [model.onnx]").code, "file_empty");
}

TEST_F(FilesKind, what_must_not_be_there_fails) {
    write_file("model.onnx", "weights");
    write_file("training.csv", "secret");
    EXPECT_EQ(run_written("kind: files, present: [model.onnx], absent: [training.csv]").code, "file_unwanted");
    EXPECT_EQ(run_written("kind: files, present: [model.onnx], absent: [other.csv]").verdict, VerdictKind::pass);
}

TEST_F(FilesKind, a_path_out_of_the_version_is_refused) {
    for (const char* path : {"/etc/passwd", "../x", "a/../../x", "''"})
        EXPECT_NE(refusal(std::string("kind: files, present: [") + path + "]").find("inside of the version"),
                  std::string::npos)
            << path;
}

}  // namespace
}  // namespace modelguard::checks::test
