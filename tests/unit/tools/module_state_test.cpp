// SPDX-License-Identifier: GPL-2.0-only
#include "mount/module_state.h"

#include <gtest/gtest.h>

#include <cerrno>

using namespace fusewb;

namespace {

ModuleFacts installed() {
    ModuleFacts facts;
    facts.release = "6.1.0-50-amd64";
    facts.headers = true;
    facts.source = true;
    return facts;
}

void expect_line(const ModuleFacts &facts, const std::string &cause, const std::string &remedy) {
    const Failure failure = explain_missing_module(facts);
    EXPECT_EQ(failure.code, ExitCode::mount_failure);
    EXPECT_NE(failure.cause.find(cause), std::string::npos) << failure.line();
    EXPECT_NE(failure.remedy.find(remedy), std::string::npos) << failure.line();
}

TEST(MissingModule, AsksForThePackageIfTheSourceIsNotThere) {
    ModuleFacts facts = installed();
    facts.source = false;
    facts.headers = false;
    expect_line(facts, "there is no module fusewb for kernel 6.1.0-50-amd64",
                "apt install fusewb-dkms");
}

TEST(MissingModule, AsksForTheHeadersOfTheRunningKernel) {
    ModuleFacts facts = installed();
    facts.headers = false;
    expect_line(facts, "headers are not installed", "apt install linux-headers-6.1.0-50-amd64");
}

TEST(MissingModule, AsksForABuildIfDkmsHasNone) {
    expect_line(installed(), "DKMS has not built it", "dkms autoinstall -k 6.1.0-50-amd64");
}

TEST(MissingModule, AsksForTheInstallStepIfOnlyThatIsMissing) {
    ModuleFacts facts = installed();
    facts.built = true;
    expect_line(facts, "although DKMS has built it", "dkms install fusewb -k 6.1.0-50-amd64");
}

TEST(MissingModule, NamesTheRangeToKernelsOutsideOfIt) {
    for (const char *release : {"5.10.0-30-amd64", "6.0.0", "7.3.0-rc1"}) {
        ModuleFacts facts = installed();
        facts.release = release;
        expect_line(facts, "outside the range 6.1 to 7.2", "boot a kernel of that range");
    }
    for (const char *release : {"6.1.0", "6.12.5+deb13-amd64", "7.2.12"}) {
        ModuleFacts facts = installed();
        facts.release = release;
        expect_line(facts, "DKMS has not built it", "dkms autoinstall");
    }
}

TEST(MissingModule, ExplainsSecureBootForEveryErrorThatItGives) {
    for (int error : {EPERM, EKEYREJECTED, ENOKEY}) {
        ModuleFacts facts = installed();
        facts.found = true;
        facts.secure_boot = true;
        facts.load_error = error;
        expect_line(facts, "Secure Boot is on", "mokutil --import /var/lib/dkms/mok.pub");
    }
}

TEST(MissingModule, DoesNotBlameSecureBootWhereThereIsNone) {
    ModuleFacts facts = installed();
    facts.found = true;
    facts.load_error = EPERM;
    expect_line(facts, "may not be loaded", "outside of any container");
}

TEST(MissingModule, TellsABuildForAnotherKernelFromOtherErrors) {
    ModuleFacts facts = installed();
    facts.found = true;
    facts.load_error = ENOEXEC;
    expect_line(facts, "does not fit kernel 6.1.0-50-amd64", "dpkg-reconfigure fusewb-dkms");
    facts.load_error = ENOMEM;
    expect_line(facts, "Cannot allocate memory", "dmesg");
}

TEST(MissingModule, SaysThatLoadingIsSwitchedOff) {
    ModuleFacts facts = installed();
    facts.found = true;
    facts.load_error = EPERM;
    facts.loading_disabled = true;
    expect_line(facts, "loading modules is switched off", "kernel.modules_disabled");
}

TEST(MissingModule, SaysThatOnlyTheNodeIsMissing) {
    ModuleFacts facts = installed();
    facts.found = true;
    expect_line(facts, "is loaded, but /dev/fusewb does not exist", "udevadm trigger");
}

} // namespace
