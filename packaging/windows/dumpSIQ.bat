@rem Passes everything on: verbund knows the name.
@"%~dp0verbund.exe" dumpSIQ %*
@exit /b %ERRORLEVEL%
